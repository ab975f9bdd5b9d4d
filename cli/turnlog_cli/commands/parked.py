"""`turnlog parked`."""

from contextlib import suppress
from typing import Annotated

import typer

from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl
from turnlog_cli.output import ago, console, one_line, print_json, styled
from turnlog_cli.servers import both, postgres_only
from turnlog_producers.meta import LogMeta
from turnlog_projector.database import Database, check_schema, connect_postgres, connect_redis
from turnlog_projector.errors import NotReady
from turnlog_projector.log import LogReader
from turnlog_projector.parking import NotParked, ParkedSession, list_parked
from turnlog_projector.parking import retry as fold_on
from turnlog_projector.projection import Projection
from turnlog_schemas.ids import DEFAULT_TENANT


def parked(
    retry: Annotated[
        str | None,
        typer.Option("--retry", metavar="SESSION", help="Fold this session again, all of it."),
    ] = None,
    retry_all: Annotated[
        bool, typer.Option("--retry-all", help="Fold every parked session again.")
    ] = False,
    skip: Annotated[
        str | None,
        typer.Option(
            "--skip",
            metavar="SESSION",
            help="Void the event that parked it, for good and in every generation; fold on.",
        ),
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant",
            envvar="TURNLOG_TENANT",
            help="Whose sessions.",
            show_default="all; with --retry or --skip: default",
        ),
    ] = None,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List sessions that wait because an event cannot be folded; retry them, or skip an event.

    Exit code 1 while anything of what was listed or retried is parked.

    \b
    Example:
      turnlog parked --retry s-42
    """
    if sum((retry is not None, skip is not None, retry_all)) > 1:
        raise typer.BadParameter("--retry, --retry-all and --skip exclude each other")
    session_id = retry or skip
    if session_id is not None:
        tenant = tenant or DEFAULT_TENANT
    if session_id is None and not retry_all:
        url = postgres_only(postgres_url, data_dir)
        folded = None
    else:
        urls = both(redis_url, postgres_url, data_dir)
        url = urls.postgres_url
        folded = _go_on(urls.redis_url, url, tenant, session_id, skip=skip is not None)
    with connect_postgres(url, application_name="turnlog parked") as connection:
        check_schema(connection)
        found = list_parked(connection, tenant)
    if as_json:
        items = [each._asdict() for each in found]
        print_json({"items": items} | ({} if folded is None else {"folded": folded}))
    else:
        _print(found, folded)
    waiting = [
        each for each in found if each.state == "parked" and session_id in (None, each.session_id)
    ]
    raise typer.Exit(1 if waiting else 0)


def _go_on(
    redis_url: str, url: str, tenant: str | None, session_id: str | None, *, skip: bool
) -> int:
    """Retry one session, or all; returns how many events that folded."""
    client = connect_redis(redis_url)
    with connect_postgres(url, application_name="turnlog parked") as connection:
        check_schema(connection)
        projection = Projection(LogReader(client, _partitions(connection)), connection)
        if session_id is not None:
            return fold_on(projection, tenant or DEFAULT_TENANT, session_id, skip=skip)
        folded = 0
        for each in list_parked(connection, tenant):
            # Somebody else may have retried it meanwhile.
            with suppress(NotParked):
                if each.state == "parked":
                    folded += fold_on(projection, each.tenant, each.session_id)
        return folded


def _partitions(connection: Database) -> int:
    row = connection.execute("SELECT log_id, partitions FROM turnlog.log").fetchone()
    if row is None:
        raise NotReady("the database belongs to no log yet: run `turnlog init`")
    return LogMeta(*row).partitions


def _print(found: list[ParkedSession], folded: int | None) -> None:
    out = console()
    if folded is not None:
        out.print(styled(f"{folded:,} events folded"))
    for each in found:
        name = f"{each.tenant}:{each.session_id} at seq {each.seq}"
        about = f"{each.state} {ago(each.at)}, {each.waiting:,} events wait"
        if each.state != "parked":
            about = f"{each.state} {ago(each.at)}"
        out.print(styled(name, "bold").append(styled(f"  {about}: {one_line(each.error)}")))
    if not found:
        out.print(styled("nothing is parked"))
