"""`turnlog up`: the servers, a projector and the API over one data folder, in one command."""

import contextlib
import http.client
import logging
import os
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from turnlog_cli.accounts import prepare_folder
from turnlog_cli.embedded import EmbeddedServers
from turnlog_cli.instance import DataDirLock, ServerUrls, default_data_dir, write_run_file
from turnlog_cli.ports import free_port
from turnlog_cli.processes import ServerFailed, ServerProcess
from turnlog_cli.supervision import BackOff, StopSignals
from turnlog_projector.init import initialise
from turnlog_projector.logs import set_up_logging
from turnlog_projector.settings import Settings, load
from turnlog_schemas.errors import TurnlogError

# -P: a file in the current folder must not stand in for one of our modules.
_COMMAND = (sys.executable, "-P", "-m", "turnlog_cli.main")
_POLL_S = 0.2
_API_START_S = 60.0

logger = logging.getLogger(__name__)


class CannotStart(TurnlogError):
    """`turnlog up` cannot run like this; the text says what to change."""


def run_up(
    *,
    data_dir: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    redis_url: str | None = None,
    postgres_url: str | None = None,
    workers: int = 1,
    command: Sequence[str] = _COMMAND,
) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP; the exit code: 0 after such a signal, 1 when it cannot
    start, with one line on stderr.

    A server whose URL is given, here or by TURNLOG_REDIS_URL and TURNLOG_POSTGRES_URL, is used;
    the others are started from the wheels, with their data in `data_dir`. Port 0 takes a free one.
    `command` runs turnlog's other commands.
    """
    folder = (data_dir or default_data_dir()).expanduser().absolute()
    with StopSignals() as stop:
        try:
            settings = load(Settings, redis_url=redis_url, postgres_url=postgres_url)
            set_up_logging(settings)
            prepare_folder(folder)
            with DataDirLock(folder):
                up = _Up(folder, settings, host, port, workers, command, stop)
                try:
                    up.start()
                    up.supervise()
                finally:
                    up.stop()
        except TurnlogError as error:
            if not stop():
                print(f"turnlog up: {error}", file=sys.stderr)
                return 1
    return 0


class _Up:
    """Everything that runs, in the order in which it is started."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        host: str,
        port: int,
        workers: int,
        command: Sequence[str],
        stop: StopSignals,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._host = host.strip("[]")
        self._port = port
        self._any_port = port == 0
        self._stop = stop
        self._workers = workers
        self._command = command
        self._urls = ServerUrls(settings.redis_url, settings.postgres_url)
        self._servers = EmbeddedServers(
            folder,
            with_redis=not settings.redis_url,
            with_postgres=not settings.postgres_url,
            stopping=stop,
        )
        # A killed `turnlog up` takes these along at once: they have nothing to write down.
        self._api, self._projector = (
            ServerProcess(
                name,
                folder,
                stop_signals=[signal.SIGTERM],
                stop_s=8.0,
                death_signal=signal.SIGKILL,
            )
            for name in ("api", "projector")
        )
        self._back_off = {name: BackOff() for name in ("redis", "postgres", "api", "projector")}

    def start(self) -> None:
        """Start everything and return when the API answers. What fails now ends the command: it
        would fail again."""
        for process in (self._api, self._projector):
            process.stop_leftover()
        self._port = _listenable_port(self._host, self._port or free_port())
        embedded = self._servers.start()
        self._urls = ServerUrls(
            self._settings.redis_url or embedded.redis_url,
            self._settings.postgres_url or embedded.postgres_url,
        )
        initialise(
            self._urls.redis_url, self._urls.postgres_url, partitions=self._settings.partitions
        )
        self._launch(self._projector)
        self._launch(self._api)
        deadline = time.monotonic() + _API_START_S
        while not _answers(_reachable(self._host), self._port):
            if self._any_port and self._api.ended() and not _can_listen(self._host, self._port):
                self._port = _listenable_port(self._host, free_port())
                self._launch(self._api)
            for process in (self._api, self._projector):
                if process.ended():
                    raise CannotStart(f"the {process.name} {process.exit_text()}; see above")
            if time.monotonic() > deadline:
                raise CannotStart(f"the API did not answer within {_API_START_S:.0f} seconds")
            if self._stop.wait(0.05):
                return
        address = f"http://{_bracketed(_reachable(self._host))}:{self._port}"
        self._urls = self._urls._replace(api_url=address)
        write_run_file(self._folder, self._urls)
        print("\n".join(self._welcome()), flush=True)

    def supervise(self) -> None:
        """Until a signal comes, start again what ends."""
        while not self._stop.wait(_POLL_S):
            for process, start in self._parts():
                if not process.ended():
                    continue
                back_off = self._back_off[process.name]
                if (delay_s := back_off.ended()) is not None:
                    logger.warning(
                        "%s %s: starting it again in %.1f s",
                        process.name,
                        process.exit_text(),
                        delay_s,
                    )
                if back_off.due():
                    try:
                        start()
                    except ServerFailed as error:
                        logger.error("%s", error)

    def stop(self) -> None:
        """Stop everything, readers first; a second signal cuts short API and projector, which
        lose nothing by it. The servers always stop in an orderly way."""
        if self._stop():
            logger.info("stopping")
        self._api.stop(self._stop.hurry)
        self._projector.stop(self._stop.hurry)
        self._servers.stop()

    def _parts(self) -> Iterator[tuple[ServerProcess, Callable[[], None]]]:
        yield self._servers.redis, self._servers.start_redis
        yield self._servers.postgres, self._servers.start_postgres
        for process in (self._projector, self._api):
            yield process, lambda process=process: self._launch(process)

    def _launch(self, process: ServerProcess) -> None:
        options = {
            "projector": ["projector", "--workers", str(self._workers)],
            "api": ["api", "--host", self._host, "--port", str(self._port)],
        }
        environment = {
            **os.environ,
            "TURNLOG_REDIS_URL": self._urls.redis_url,
            "TURNLOG_POSTGRES_URL": self._urls.postgres_url,
            "TURNLOG_DATA_DIR": str(self._folder),
        }
        process.launch_beside_us([*self._command, *options[process.name]], environment=environment)

    def _welcome(self) -> list[str]:
        turnlog = _own_name()
        here = ""
        if self._folder != default_data_dir().expanduser().absolute():
            here = f" --data-dir {shlex.quote(str(self._folder))}"
        header = ""
        if os.environ.get("TURNLOG_AUTH") == "jwt":
            header = ' -H "Authorization: Bearer $TOKEN"'
        lines = [
            f"Turnlog runs at {self._urls.api_url}; its data is in {self._folder}",
            "",
            "Try next, in another terminal:",
            f"  {turnlog} import{here} FILE    conversations as JSON lines, plain or gzip",
            f"  {turnlog} sessions{here}",
            f"  curl{header} {self._urls.api_url}/v1/sessions",
            f"API documentation: {self._urls.api_url}/docs",
        ]
        if not self._settings.redis_url:
            lines.append(f"Producers connect to: {self._urls.redis_url}")
        return [*lines, "", "Ctrl-C stops it; the data stays."]


def _own_name() -> str:
    """How the reader can type this command."""
    if shutil.which("turnlog"):
        return "turnlog"
    path = Path(sys.executable).with_name("turnlog")
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path))


def _listenable_port(host: str, port: int) -> int:
    """The port. Raises `CannotStart` when nobody can listen there."""
    deadline = time.monotonic() + 2.0  # one that a killed run held is free in an instant
    while True:
        try:
            _listen_once(host, port)
            return port
        except (OSError, OverflowError) as error:
            if time.monotonic() > deadline:
                reason = getattr(error, "strerror", None) or str(error)
                raise CannotStart(
                    f"cannot listen on {_bracketed(host)}:{port} ({reason}): choose another --port"
                    " or --host"
                ) from None
            time.sleep(0.1)


def _can_listen(host: str, port: int) -> bool:
    try:
        _listen_once(host, port)
    except OSError:
        return False
    return True


def _listen_once(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def _reachable(host: str) -> str:
    """The address by which this machine reaches what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5.0)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
