"""`turnlog show`."""

from collections import deque
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from pydantic_core import from_json

from turnlog_api import asof
from turnlog_api.queries import (
    MAX_LIMIT,
    TurnsPage,
    Window,
    active_generation,
    fetch,
    fetch_turns,
    session,
)
from turnlog_api.scope import Scope
from turnlog_cli.archived import ArchivedLog
from turnlog_cli.conversation import print_event, print_head, print_turn
from turnlog_cli.options import DataDir, Json, PostgresUrl, Tenant
from turnlog_cli.output import console, one_line, print_json, print_json_line, styled
from turnlog_cli.servers import postgres_only
from turnlog_projector.database import Database, connect_postgres
from turnlog_projector.generations import find_generation
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import DEFAULT_TENANT
from turnlog_schemas.rows import LAST_SEQ


class NoSuchSession(TurnlogError):
    """There is no session of this name."""


def show(
    session_id: Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.")],
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="The newest so many turns; 0 shows all.")
    ] = 100,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="SEQ|TIME",
            help="As it was after this event, or after the last one recorded up to this time.",
            show_default="as it is",
        ),
    ] = None,
    revisions: Annotated[
        bool,
        typer.Option("--revisions", help="Also what turns and title were before, who, and when."),
    ] = False,
    events: Annotated[
        bool,
        typer.Option("--events", help="The events of the log instead; with --json a line each."),
    ] = False,
    generation: Annotated[
        str | None,
        typer.Option(
            "--generation",
            metavar="N",
            help="As another generation holds it, by number or name; see `turnlog generations`.",
            show_default="the live one",
        ),
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    data_dir: DataDir = None,
    postgres_url: PostgresUrl = None,
    as_json: Json = False,
) -> None:
    """Print a conversation, as far as it is projected: the branch that is shown.

    \b
    Example:
      turnlog show s-42 --as-of 2026-01-31T12:00:00Z
    """
    moment = None if as_of is None else _moment(as_of)
    if generation is not None and (moment is not None or events):
        raise typer.BadParameter("--generation goes with neither --as-of nor --events")
    if events and revisions:
        raise typer.BadParameter("--events and --revisions exclude each other")
    url = postgres_only(postgres_url, data_dir)
    with connect_postgres(url, application_name="turnlog show") as connection:
        if events:
            log = ArchivedLog(connection, tenant, session_id)
            if log.end == 0:
                raise _unknown(tenant, session_id, "archived")
            upto = log.end if moment is None else log.seq_of(moment)
            _print_events(log.events(newest=limit, upto=upto), as_json=as_json)
            return
        found = _found(connection, Scope(tenant), session_id, limit, moment, generation)
        if revisions:
            _add_revisions(connection, tenant, session_id, found, generation)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _moment(text: str) -> asof.AsOf:
    try:
        return asof.parse(asof.normal(text))
    except ValueError as error:
        raise typer.BadParameter(f"--as-of: {error}") from None


def _found(
    connection: Database,
    scope: Scope,
    session_id: str,
    limit: int,
    moment: asof.AsOf | None,
    generation: str | None,
) -> dict[str, Any]:
    """Session, newest turns and the count of all, now or then."""
    number = find_generation(connection, generation).generation if generation else None
    answer = fetch(connection, session(scope, session_id), generation=number)
    if answer is None:
        raise _unknown(scope.tenant, session_id, "projected")
    if moment is not None:
        log = ArchivedLog(connection, scope.tenant, session_id)
        seq = log.seq_of(moment)
        then = log.then(seq, limit or LAST_SEQ)
        told = {"session": then.session, "turns": then.turns, "total_count": then.total}
        return {"as_of": seq, **told}
    turns, total = _newest(connection, scope, session_id, limit or LAST_SEQ, number)
    return {"session": from_json(answer.body), "turns": turns, "total_count": total}


def _newest(
    connection: Database, scope: Scope, session_id: str, limit: int, generation: int | None
) -> tuple[list[dict[str, Any]], int]:
    """The newest turns, oldest first, and how many there are in all."""
    turns: deque[dict[str, Any]] = deque()
    before, total = LAST_SEQ, 0
    while len(turns) < limit:
        window = Window(before=before, descending=True, limit=min(limit - len(turns), MAX_LIMIT))
        page: TurnsPage | None = fetch_turns(
            connection, scope, session_id, window, generation=generation
        )
        if page is None:
            break
        total = page.total_count
        turns.extendleft(from_json(b"[" + page.items + b"]"))
        if page.last_seq is None:
            break
        before = page.last_seq
    return list(turns), total


def _add_revisions(
    connection: Database,
    tenant: str,
    session_id: str,
    found: dict[str, Any],
    generation: str | None,
) -> None:
    """What the turns that were found, and the title, have been through by then."""
    if generation is None:
        number = active_generation(connection)
    else:
        number = find_generation(connection, generation).generation
    upto: int = found["session"]["seq"]
    params = {
        "tenant": tenant,
        "session_id": session_id,
        "upto": upto,
        "turn_ids": [turn["turn_id"] for turn in found["turns"]],
    }
    for name, query in (("revisions", "revisions_of_turns"), ("titles", "titles_of_session")):
        text = statement(query, generation=number, package="turnlog_cli")
        found[name] = [from_json(row[0]) for row in connection.execute(text, params)]


def _print(found: dict[str, Any]) -> None:
    out = console()
    turns, total = found["turns"], found["total_count"]
    print_head(out, found["session"], total, found.get("titles", ()))
    if "as_of" in found:
        out.print(styled(f"as it was after event {found['as_of']}", "dim"))
    if total > len(turns):
        out.print(styled(f"… {total - len(turns)} earlier turns; --limit 0 shows all", "dim"))
    revisions: dict[str, list[dict[str, Any]]] = {}
    for revision in found.get("revisions", ()):
        revisions.setdefault(revision["turn_id"], []).append(revision)
    for turn in turns:
        print_turn(out, turn, revisions.get(turn["turn_id"], ()))


def _print_events(items: Iterator[dict[str, Any]], *, as_json: bool) -> None:
    out = console()
    for item in items:
        if as_json:
            print_json_line(item)
        else:
            print_event(out, item)


def _unknown(tenant: str, session_id: str, how: str) -> NoSuchSession:
    return NoSuchSession(
        f"no session {one_line(session_id)} of tenant {one_line(tenant)} is {how};"
        " see `turnlog sessions`"
    )
