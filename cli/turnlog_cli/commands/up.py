"""`turnlog up`."""

from pathlib import Path
from typing import Annotated

import typer

from turnlog_cli.options import PostgresUrl, RedisUrl
from turnlog_cli.up import run_up


def up(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            envvar="TURNLOG_DATA_DIR",
            help="Folder for the data.",
            show_default="the user's data folder",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", envvar="TURNLOG_HOST", help="Address the API listens on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            envvar="TURNLOG_PORT",
            min=0,
            max=65535,
            help="Port of the API; 0 takes a free one.",
        ),
    ] = 8000,
    workers: Annotated[
        int,
        typer.Option("--workers", envvar="TURNLOG_WORKERS", min=1, help="Projector workers."),
    ] = 1,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
) -> None:
    """Start everything: embedded servers, a projector and the API, until Ctrl-C.

    A server whose address is given is used instead of the embedded one.

    \b
    Example:
      turnlog up --data-dir ~/chats --port 8000
    """
    raise typer.Exit(
        run_up(
            data_dir=data_dir,
            host=host,
            port=port,
            redis_url=redis_url,
            postgres_url=postgres_url,
            workers=workers,
        )
    )
