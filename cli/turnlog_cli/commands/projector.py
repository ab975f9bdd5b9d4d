"""`turnlog projector`."""

from typing import Annotated

import typer

from turnlog_cli.options import DataDir, PostgresUrl, RedisUrl
from turnlog_cli.servers import both
from turnlog_projector.settings import Settings, load
from turnlog_projector.supervisor import run_projector


def projector(
    workers: Annotated[
        int,
        typer.Option("--workers", envvar="TURNLOG_WORKERS", min=1, help="Worker processes."),
    ] = 1,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Fold the log into Postgres until stopped; any number may run beside each other.

    \b
    Example:
      turnlog projector --workers 2
    """
    urls = both(redis_url, postgres_url, data_dir)
    settings = load(Settings, redis_url=urls.redis_url, postgres_url=urls.postgres_url)
    raise typer.Exit(run_projector(settings, workers=workers))
