"""`turnlog generations`."""

from typing import Annotated, Any

import typer

from turnlog_cli.options import DataDir, Json, PostgresUrl
from turnlog_cli.output import ago, console, print_json, size, styled
from turnlog_cli.servers import postgres_only
from turnlog_projector.database import Database, check_schema, connect_postgres
from turnlog_projector.generations import drop_generation
from turnlog_projector.sqlfiles import statement


def generations(
    drop: Annotated[
        int | None,
        typer.Option("--drop", metavar="N", help="Remove this generation; never the live one."),
    ] = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the generations of the read models, or drop one that is no longer needed.

    \b
    Example:
      turnlog generations --drop 1
    """
    url = postgres_only(postgres_url, data_dir)
    with connect_postgres(url, application_name="turnlog generations") as connection:
        check_schema(connection)
        if drop is not None:
            drop_generation(connection, drop)
        found = _list(connection)
    if as_json:
        print_json({"items": found})
        return
    out = console()
    for each in found:
        made = f"made {ago(each['created_at'])}"
        live = f", live since {ago(each['flipped_at'])}" if each["flipped_at"] else ""
        name = styled(f"{each['generation']:>4}  {each['state']:<9}", "bold")
        out.print(name.append(f"{size(each['bytes'])}, {made}{live}"))


def _list(connection: Database) -> list[dict[str, Any]]:
    rows = connection.execute(statement("generations", package="turnlog_cli"))
    names = ("generation", "state", "created_at", "flipped_at", "bytes")
    return [dict(zip(names, row, strict=True)) for row in rows]
