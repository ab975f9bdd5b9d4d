"""Sessions as Markdown that reads like a conversation.

What people and models wrote stands as it is, code fences included. Two things are mended, so that
one turn never swallows the next: a fence that is left open is closed, and what would be taken for
HTML outside of code is shown instead. Calls and results of tools are folded, in fences of their
own.
"""

import re
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import quote

from pydantic_core import from_json, to_json

_WHO = {
    "user": "User",
    "assistant": "Assistant",
    "system": "System",
    "developer": "Developer",
    "tool": "Tool",
    "agent": "Agent",
}
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)", re.DOTALL)
_TICKS = re.compile(r"(`+)")
# A tag, a comment, an instruction; addresses in angle brackets are none.
_HTML = re.compile(r"<(?=[A-Za-z/!?])(?!(?:https?|mailto|ftp):)")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


class MarkdownWriter:
    """Writes a section a session."""

    def __init__(self, *, annotations: bool = False) -> None:
        self._annotations = annotations

    def begin(self) -> bytes:
        return b""

    def session(self, body: bytes) -> bytes:
        session: dict[str, Any] = from_json(body)
        title = _inline(session["title"] or f"Session {session['session_id']}")
        facts = [f"Session `{session['session_id']}`"]
        facts += [
            f"{name} {_inline(session[key])}"
            for name, key in (("user", "user_id"), ("project", "project"))
            if session[key]
        ]
        facts.append(f"{_time(session['created_at'])} to {_time(session['updated_at'])} UTC")
        return f"# {title}\n\n{' · '.join(facts)}\n".encode()

    def turns(self, bodies: list[bytes]) -> bytes:
        return "".join(self._turn(from_json(body)) for body in bodies).encode()

    def end_session(self) -> bytes:
        return b"\n"

    def end(self) -> bytes:
        return b""

    def _turn(self, turn: dict[str, Any]) -> str:
        actor: dict[str, Any] = turn["actor"] or {}
        name = turn["name"] or (actor.get("name") if turn["role"] == "agent" else None)
        who = _WHO[turn["role"]] + (f" ({_inline(name)})" if name else "")
        facts = [f"{_time(turn['at'])} UTC", _inline(turn["model"] or "")]
        facts.append(turn["status"] if turn["status"] != "complete" else "")
        facts.append("edited" if turn["edited"] else "")
        blocks = [f"## {who}", "*" + " · ".join(filter(None, facts)) + "*"]
        if turn["role"] == "tool":
            blocks.append(
                _folded(f"Result of {turn['name'] or 'the tool'}", _text(turn["content"]))
            )
        else:
            blocks += _content(turn["content"])
        blocks += [_call(call) for call in turn["tool_calls"] or ()]
        blocks += [_artifact(artifact) for artifact in turn["artifacts"] or ()]
        if self._annotations:
            blocks += [_note(note) for note in turn["annotations"]]
        return "".join(f"\n{block}\n" for block in blocks if block)


def safe(text: str) -> str:
    """Markdown that ends where it ends: fences closed, HTML outside of code shown as text."""
    return "\n".join(_mended(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")))


def _mended(lines: list[str]) -> Iterator[str]:
    opened = ""
    for line in lines:
        fence = _FENCE.match(line)
        if opened:
            ends = fence is not None and fence[1].startswith(opened) and not fence[2].strip()
            yield line
            opened = "" if ends else opened
        elif fence is not None and not (fence[1][0] == "`" and "`" in fence[2]):
            opened = fence[1]
            yield line
        else:
            yield _without_html(line)
    if opened:
        yield opened


def _without_html(line: str) -> str:
    if "<" not in line:
        return line
    pieces = _TICKS.split(line)
    shown: list[str] = []
    place = 0
    while place < len(pieces):
        piece = pieces[place]
        if place % 2:  # a run of ticks: code, if as many end it
            end = next((at for at in range(place + 2, len(pieces), 2) if pieces[at] == piece), None)
            if end is not None:
                shown += pieces[place : end + 1]
                place = end + 1
                continue
            shown.append(piece)
        else:
            shown.append(_HTML.sub(r"\\<", piece))
        place += 1
    return "".join(shown)


def _content(content: object) -> list[str]:
    if content is None or isinstance(content, str):
        return [safe(content or "")]
    blocks: list[str] = []
    for part in cast(list[dict[str, Any]], content):
        if isinstance(part.get("text"), str):
            blocks.append(safe(part["text"]))
        else:
            kind = part.get("type")
            blocks.append(_folded(f"Part: {kind if isinstance(kind, str) else '?'}", _json(part)))
    return blocks


def _text(content: object) -> str:
    """A content as it stands in a fence."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = cast(list[dict[str, Any]], content)
    return "\n".join(
        part["text"] if isinstance(part.get("text"), str) else _json(part) for part in parts
    )


def _call(call: dict[str, Any]) -> str:
    inner: Any = call.get("function")
    function: dict[str, Any] = cast(dict[str, Any], inner) if isinstance(inner, dict) else call
    name, arguments = function.get("name"), function.get("arguments")
    shown = arguments if isinstance(arguments, str) else _json(arguments)
    if isinstance(arguments, str):
        try:
            shown = _json(from_json(arguments, allow_inf_nan=False))
        except ValueError:
            shown = arguments
    return _folded(f"Call of {name if isinstance(name, str) else 'a tool'}", shown, "json")


def _folded(summary: str, text: str, language: str = "") -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    shown = summary.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = " ".join(shown.split())
    return (
        f"<details><summary>{shown}</summary>\n\n{fence}{language}\n{text}\n{fence}\n\n</details>"
    )


def _artifact(artifact: dict[str, Any]) -> str:
    url = artifact.get("url")
    name = _inline(str(artifact.get("name") or artifact["id"]))
    if isinstance(url, str) and url.startswith(("https://", "http://")):
        name = f"[{name}](<{quote(url, safe=_IN_ADDRESSES)}>)"
    facts = [artifact.get("kind"), artifact.get("mime"), artifact["id"]]
    return f"> Artifact: {name} ({_inline(', '.join(str(fact) for fact in facts if fact))})"


def _note(note: dict[str, Any]) -> str:
    value = note["value"]
    shown = _inline(value) if isinstance(value, str) else to_json(value).decode()
    by = f", by {_inline(note['by'])}" if note["by"] else ""
    return f"> {str(note['kind']).capitalize()}: {shown}{by}"


def _inline(text: str) -> str:
    """Text on one line, shown as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _time(at: str) -> str:
    return at[:19].replace("T", " ")


def _json(value: object) -> str:
    return to_json(value, indent=2).decode()


_IN_ADDRESSES = "!#$%&'()*+,/:;=?@[]~-._"
