"""`turnlog search`."""

from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.text import Text

from turnlog_api.queries import fetch
from turnlog_api.scope import Scope
from turnlog_api.searching import Found, Place, SearchFilters, make_items, search
from turnlog_cli.options import DataDir, Json, PostgresUrl, Tenant
from turnlog_cli.output import console, one_line, print_json, say, styled
from turnlog_cli.servers import postgres_only
from turnlog_projector.database import Database, check_schema, connect_postgres
from turnlog_schemas import times
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.events import Role
from turnlog_schemas.ids import DEFAULT_TENANT
from turnlog_schemas.searchquery import parse_query

_PAGE = 100


def search_(
    words: Annotated[
        str,
        typer.Argument(
            metavar="WORDS",
            help='What to look for, as in a web search: all words, "side by side", -without, or.',
        ),
    ],
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION", help="In this session alone.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="In sessions of this user.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="In sessions of this project.")
    ] = None,
    role: Annotated[
        str | None,
        typer.Option("--role", help="Turns of this role only, such as user, assistant or tool."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="At or after this time.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Before this time.")
    ] = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="The newest first, instead of the best.")
    ] = False,
    tool_results: Annotated[
        bool, typer.Option("--tool-results", help="Look in results of tools as well.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
    tenant: Tenant = DEFAULT_TENANT,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Search in turns, and show the part of each that answers; exit code 1 when nothing is found.

    \b
    Example:
      turnlog search '"credit card" refund -voucher' --newest --limit 5
    """
    filters = SearchFilters(
        session, user, project, _role(role), _time(since), _time(until), tool_results
    )
    url = postgres_only(postgres_url, data_dir)
    with connect_postgres(url, application_name="turnlog search command") as connection:
        check_schema(connection)
        # The function that searches goes by who reads, whatever role asks it.
        connection.execute(
            "SELECT set_config('turnlog.reads', 'tenant', false),"
            " set_config('turnlog.tenant', %s, false)",
            (tenant,),
        )
        items, found = _search(connection, words, tenant, filters, limit, ranked=not newest)
    if as_json:
        lag = {
            "events": found.events_behind,
            "sessions": found.sessions_behind,
            "seconds": found.seconds_behind,
        }
        more = found.last is not None
        print_json({"items": items, "has_more": more, "complete": found.complete, "lag": lag})
    else:
        _print(console(), items, found)
    raise typer.Exit(0 if items else 1)


def _search(
    connection: Database,
    words: str,
    tenant: str,
    filters: SearchFilters,
    limit: int,
    *,
    ranked: bool,
) -> tuple[list[dict[str, Any]], Found]:
    query = parse_query(words)
    items: list[dict[str, Any]] = []
    last: Place | None = None
    while True:
        wanted = min(limit - len(items), _PAGE)
        asked = search(Scope(tenant), query, filters, ranked=ranked, limit=wanted, last=last)
        found = fetch(connection, asked)
        items += make_items(query, found.hits)
        last = found.last
        if last is None or len(items) >= limit:
            return items, found


def _print(out: Console, items: list[dict[str, Any]], found: Found) -> None:
    for item in items:
        title = styled(one_line(item["title"] or item["session_id"]), "bold")
        facts = [item["session_id"], item["turn_id"], item["role"] or "title"]
        facts.append(item["at"][:19].replace("T", " "))
        out.print(title.append(styled("  " + one_line(" · ".join(filter(None, facts))), "dim")))
        line = Text("  ")
        for part in item["snippet"]:
            line.append(styled(part["text"], "bold yellow" if part["hit"] else ""))
        out.print(line)
    if not items:
        out.print("nothing found")
    if found.last is not None:
        out.print(styled(f"the first {len(items)}; --limit shows more", "dim"))
    if found.events_behind or found.sessions_behind:
        say(
            f"search is {found.events_behind:,} events behind the read models,"
            f" {found.seconds_behind:.1f} s"
        )


def _role(given: str | None) -> str | None:
    allowed = cast(tuple[str, ...], Role.__args__)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    if given is not None and given not in allowed:
        raise typer.BadParameter(f"{given!r} is no role; allowed: {', '.join(allowed)}")
    return given


def _time(given: str | None) -> str | None:
    if given is None:
        return None
    try:
        return times.normalise(given)
    except InvalidEvent as error:
        raise typer.BadParameter(str(error).removeprefix("at: ")) from None
