"""`turnlog generations`."""

from typing import Annotated, Any

import typer

from turnlog_cli.options import DataDir, Json, PostgresUrl
from turnlog_cli.output import ago, console, one_line, print_json, size, styled, visible
from turnlog_cli.servers import postgres_only
from turnlog_projector.database import Database, check_schema, connect_postgres
from turnlog_projector.generations import drop_generation, find_generation
from turnlog_projector.replaying import replay_connection
from turnlog_projector.sqlfiles import statement


def generations(
    drop: Annotated[
        str | None,
        typer.Option(
            "--drop",
            metavar="N",
            help="Remove this generation, by number or name; never the live one.",
        ),
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
    if drop is not None:
        # While nobody builds one, or goes back to one.
        with replay_connection(url) as connection:
            drop_generation(connection, find_generation(connection, drop).generation)
    with connect_postgres(url, application_name="turnlog generations") as connection:
        check_schema(connection)
        found = _list(connection)
    if as_json:
        print_json({"items": found})
        return
    out = console()
    for each in found:
        facts = [size(each["bytes"]), f"made {ago(each['created_at'])}"]
        if each["flipped_at"]:
            facts.append(f"made live {ago(each['flipped_at'])}")
        if each["name"]:
            facts.append(one_line(each["name"]))
        number = styled(f"{each['generation']:>4}  {each['state']:<9}", "bold")
        out.print(number.append(visible(", ".join(facts))))


def _list(connection: Database) -> list[dict[str, Any]]:
    rows = connection.execute(statement("generations", package="turnlog_cli"))
    names = (
        *("generation", "state", "name", "until", "until_seq", "tenant", "session_id"),
        *("created_at", "flipped_at", "bytes"),
    )
    return [dict(zip(names, row, strict=True)) for row in rows]
