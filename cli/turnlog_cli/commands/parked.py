"""`turnlog parked`."""

from typing import Annotated

import typer

from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl, Tenant
from turnlog_cli.output import ago, console, one_line, print_json, styled
from turnlog_cli.servers import both, postgres_only
from turnlog_producers.meta import LogMeta
from turnlog_projector.database import Database, check_schema, connect_postgres, connect_redis
from turnlog_projector.errors import NotReady
from turnlog_projector.log import LogReader
from turnlog_projector.parking import ParkedSession, list_parked
from turnlog_projector.parking import retry as fold_on
from turnlog_projector.projection import Projection
from turnlog_schemas.ids import DEFAULT_TENANT


def parked(
    retry: Annotated[
        str | None,
        typer.Option("--retry", metavar="SESSION", help="Fold this session on from there."),
    ] = None,
    skip: Annotated[
        str | None,
        typer.Option(
            "--skip",
            metavar="SESSION",
            help="Void the event that parked it, for good and in every generation; fold on.",
        ),
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List sessions that wait because an event cannot be folded; retry one, or skip its event.

    Exit code 1 while anything is parked. The list shows all tenants.

    \b
    Example:
      turnlog parked --retry s-42
    """
    if retry is not None and skip is not None:
        raise typer.BadParameter("--retry and --skip exclude each other")
    session_id = retry or skip
    if session_id is None:
        url = postgres_only(postgres_url, data_dir)
        folded = None
    else:
        urls = both(redis_url, postgres_url, data_dir)
        url = urls.postgres_url
        folded = _go_on(urls.redis_url, url, tenant, session_id, skip=skip is not None)
    with connect_postgres(url, application_name="turnlog parked") as connection:
        check_schema(connection)
        found = list_parked(connection)
    if as_json:
        items = [each._asdict() for each in found]
        print_json({"items": items} | ({} if folded is None else {"folded": folded}))
    else:
        _print(found, folded)
    waiting = [each for each in found if each.state == "parked"]
    if session_id is not None:
        waiting = [
            each for each in waiting if (each.tenant, each.session_id) == (tenant, session_id)
        ]
    raise typer.Exit(1 if waiting else 0)


def _go_on(redis_url: str, url: str, tenant: str, session_id: str, *, skip: bool) -> int:
    client = connect_redis(redis_url)
    with connect_postgres(url, application_name="turnlog parked") as connection:
        check_schema(connection)
        projection = Projection(LogReader(client, _partitions(connection)), connection)
        return fold_on(projection, tenant, session_id, skip=skip)


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
