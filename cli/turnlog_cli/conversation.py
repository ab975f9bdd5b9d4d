"""A conversation in the terminal."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

from pydantic_core import to_json
from rich.console import Console

from turnlog_cli.output import one_line, styled
from turnlog_schemas.text import plain

_STYLES = {"user": "bold cyan", "assistant": "bold green", "tool": "bold yellow"}
_ARGUMENTS_SHOWN = 120
_RESULT_SHOWN = 2000
_CHANGE_SHOWN = 120


def print_head(
    out: Console, head: dict[str, Any], total: int, titles: Iterable[dict[str, Any]] = ()
) -> None:
    """The title and what else is known of a session; its former titles, if they are given."""
    out.print(styled(one_line(head["title"] or head["session_id"]), "bold"))
    facts = [head["session_id"], head["user_id"], head["project"], f"{total} turns"]
    facts += [f"updated {head['updated_at']}", "deleted" if head["deleted"] else None]
    out.print(styled(one_line(" · ".join(fact for fact in facts if fact)), "dim"))
    for title in titles:
        made = f"title {title['seq']}: {title['title']} ({_who(title, title['source'])})"
        out.print(styled(one_line(made), "magenta"))


def print_event(out: Console, item: dict[str, Any]) -> None:
    """An event of the log on one line."""
    seq, recorded_at = item.pop("seq"), item.pop("recorded_at")
    local = datetime.fromisoformat(recorded_at).astimezone()
    line = styled(f"{seq:>6}  {local:%Y-%m-%d %H:%M:%S}  ", "dim")
    line.append(styled(one_line(to_json(item).decode())))
    out.print(line)


def print_turn(
    out: Console, turn: dict[str, Any], revisions: Iterable[dict[str, Any]] = ()
) -> None:
    """A turn, and what it has been through, if that is given."""
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
    for revision in revisions:
        _print_revision(out, revision)


def _print_revision(out: Console, revision: dict[str, Any]) -> None:
    what = f"✎ {revision['seq']} {revision['type']} ({_who(revision)})"
    reason = f": {revision['reason']}" if revision["reason"] else ""
    out.print(styled(one_line(what + reason), "magenta"))
    for name, before in revision["before"].items():
        if name not in ("edited", "reason"):
            after = revision["after"].get(name)
            out.print(styled(f"    {name}: {_short(before)} → {_short(after)}", "dim"))


def _who(change: dict[str, Any], *more: str) -> str:
    """Who made a change, and when."""
    actor: dict[str, Any] = change["actor"] or {}
    name = actor.get("name") or actor.get("id") or actor.get("kind")
    facts = (*more, str(name) if name else None, change["at"][:19].replace("T", " "))
    return ", ".join(fact for fact in facts if fact)


def _short(value: Any) -> str:
    text = one_line(plain(value) if isinstance(value, str | list) else to_json(value).decode())
    return text if len(text) <= _CHANGE_SHOWN else text[:_CHANGE_SHOWN] + "…"


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
