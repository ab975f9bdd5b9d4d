"""`turnlog show`."""

from collections import deque
from typing import Annotated, Any, cast

import typer
from pydantic_core import from_json, to_json
from rich.console import Console

from turnlog_api.queries import MAX_LIMIT, TurnsPage, Window, fetch, fetch_turns, session
from turnlog_api.scope import Scope
from turnlog_cli.options import DataDir, Json, PostgresUrl, Tenant
from turnlog_cli.output import console, one_line, print_json, styled
from turnlog_cli.servers import postgres_only
from turnlog_projector.database import Database, connect_postgres
from turnlog_projector.generations import find_generation
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import DEFAULT_TENANT
from turnlog_schemas.rows import LAST_SEQ
from turnlog_schemas.text import plain

_STYLES = {"user": "bold cyan", "assistant": "bold green", "tool": "bold yellow"}
_ARGUMENTS_SHOWN = 120
_RESULT_SHOWN = 2000


class NoSuchSession(TurnlogError):
    """The read models have no session of this name."""


def show(
    session_id: Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.")],
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="The newest so many turns; 0 shows all.")
    ] = 100,
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
      turnlog show s-42 --limit 20
    """
    url = postgres_only(postgres_url, data_dir)
    scope = Scope(tenant)
    with connect_postgres(url, application_name="turnlog show") as connection:
        number = find_generation(connection, generation).generation if generation else None
        answer = fetch(connection, session(scope, session_id), generation=number)
        if answer is None:
            raise NoSuchSession(
                f"no session {one_line(session_id)} of tenant {one_line(tenant)} is projected;"
                " see `turnlog sessions`"
            )
        head: dict[str, Any] = from_json(answer.body)
        turns, total = _newest(connection, scope, session_id, limit or LAST_SEQ, number)
    if as_json:
        print_json({"session": head, "turns": turns, "total_count": total})
        return
    out = console()
    _print_head(out, head, total)
    if total > len(turns):
        out.print(styled(f"… {total - len(turns)} earlier turns; --limit 0 shows all", "dim"))
    for turn in turns:
        _print_turn(out, turn)


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


def _print_head(out: Console, head: dict[str, Any], total: int) -> None:
    out.print(styled(one_line(head["title"] or head["session_id"]), "bold"))
    facts = [head["session_id"], head["user_id"], head["project"], f"{total} turns"]
    facts += [f"updated {head['updated_at']}", "deleted" if head["deleted"] else None]
    out.print(styled(one_line(" · ".join(fact for fact in facts if fact)), "dim"))


def _print_turn(out: Console, turn: dict[str, Any]) -> None:
    who = turn["role"] + (f" {turn['name']}" if turn["name"] else "")
    facts = [turn["at"][:19].replace("T", " "), turn["model"]]
    facts += [turn["status"] if turn["status"] != "complete" else None]
    facts += [turn["reason"], "edited" if turn["edited"] else None]
    title = styled(f"── {one_line(who)} ", _STYLES.get(turn["role"], "bold"))
    title.append(styled(one_line(" · ".join(fact for fact in facts if fact)), "dim"))
    out.print()
    out.print(title)
    body = _body(turn["content"])
    if turn["role"] == "tool" and len(body) > _RESULT_SHOWN:
        body = f"{body[:_RESULT_SHOWN]} … ({len(body):,} characters)"
    if body:
        out.print(styled(body))
    for call in turn["tool_calls"] or ():
        out.print(styled(_call_line(call), "yellow"))
    for artifact in turn["artifacts"] or ():
        facts = [artifact.get("kind"), artifact.get("name"), artifact.get("mime"), artifact["id"]]
        out.print(styled("▣ " + one_line(" ".join(str(fact) for fact in facts if fact)), "magenta"))
    for note in turn["annotations"]:
        value = to_json(note["value"]).decode()
        by = f" by {note['by']}" if note["by"] else ""
        out.print(styled(one_line(f"★ {note['kind']} {value}{by}"), "magenta"))


def _body(content: Any) -> str:
    """The text, and a word for each part that is none."""
    if not isinstance(content, list):
        return plain(content)
    parts: list[dict[str, Any]] = content  # pyright: ignore[reportUnknownVariableType]
    texts = [
        part["text"] if isinstance(part.get("text"), str) else f"[{part.get('type', 'part')}]"
        for part in parts
    ]
    return "\n".join(texts)


def _call_line(call: dict[str, Any]) -> str:
    function: Any = call.get("function")
    if not isinstance(function, dict):
        function = call
    named = cast(dict[str, Any], function)
    name, arguments = named.get("name"), named.get("arguments")
    text = arguments if isinstance(arguments, str) else to_json(arguments).decode()
    text = one_line(text)
    if len(text) > _ARGUMENTS_SHOWN:
        text = text[:_ARGUMENTS_SHOWN] + "…"
    return f"→ {one_line(str(name or 'call'))}({text})"
