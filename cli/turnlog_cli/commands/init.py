"""`turnlog init`."""

from typing import Annotated

import typer

from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl
from turnlog_cli.output import print_json
from turnlog_cli.servers import both
from turnlog_projector.init import initialise


def init(
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions",
            envvar="TURNLOG_PARTITIONS",
            min=1,
            max=4096,
            help="Partitions of a new log; it keeps them.",
            show_default="64",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create or upgrade what the projector needs in Postgres; safe to repeat.

    \b
    Example:
      turnlog init --redis-url redis://localhost --postgres-url postgresql://me@localhost/turnlog
    """
    urls = both(redis_url, postgres_url, data_dir)
    report = initialise(urls.redis_url, urls.postgres_url, partitions=partitions)
    if as_json:
        print_json(report._asdict())
        return
    print(f"log {report.log_id} of {report.partitions} partitions, generation {report.generation}")
    applied = ", ".join(report.applied)
    print(f"migrations applied now: {applied}" if applied else "the schema was up to date")
