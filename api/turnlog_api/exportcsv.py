"""Turns as CSV that opens right in a spreadsheet.

UTF-8 with a byte order mark (else Excel takes another encoding), a header, a row a turn, lines
ended by CR LF, every cell in quotes. No cell is a formula: one that would begin with what
spreadsheets take for one gets an apostrophe in front, and so does one that begins with an
apostrophe, so that taking one off again gives the text back.
"""

import csv
import io
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic_core import from_json, to_json

from turnlog_schemas.text import plain

Delimiter = Literal["comma", "semicolon", "tab"]

COLUMNS = (
    *("session_id", "title", "user_id", "project"),
    *("seq", "turn_id", "branch_id", "parent_turn_id", "at", "role", "name", "status", "edited"),
    *("content", "tool_calls", "tool_call_id", "artifacts"),
    *("model", "input_tokens", "output_tokens", "response_time_ms"),
    *("actor_kind", "actor_id", "actor_name", "metadata"),
)
ANNOTATION_COLUMNS = ("ratings", "reactions", "comments")

MAX_CELL = 32_767
"""What a cell of Excel holds, in UTF-16 units; LibreOffice holds more."""

CUT = " […]"
"""The end of a cell that was cut."""

_DELIMITERS: dict[str, str] = {"comma": ",", "semicolon": ";", "tab": "\t"}
# What begins a formula in some spreadsheet, also in wide forms and behind white space.
_RISKY = re.compile("\\s*[=+\\-@|%'\uff1d\uff0b\uff0d\uff20]|[\\t\\r\\n]")
_BOM = b"\xef\xbb\xbf"


class CsvWriter:
    """Writes the table. Sessions without turns have no row."""

    def __init__(
        self,
        *,
        delimiter: Delimiter = "comma",
        annotations: bool = False,
        whole_cells: bool = False,
    ) -> None:
        self._text = io.StringIO(newline="")
        self._rows = csv.writer(self._text, delimiter=_DELIMITERS[delimiter], quoting=csv.QUOTE_ALL)
        self._annotations = annotations
        self._whole_cells = whole_cells
        self._session: tuple[str, ...] = ()

    def begin(self) -> bytes:
        self._rows.writerow(COLUMNS + (ANNOTATION_COLUMNS if self._annotations else ()))
        return _BOM + self._taken()

    def session(self, body: bytes) -> bytes:
        session: dict[str, Any] = from_json(body)
        names = ("session_id", "title", "user_id", "project")
        self._session = tuple(self._cell(session[name]) for name in names)
        return b""

    def turns(self, bodies: list[bytes]) -> bytes:
        for body in bodies:
            turn: dict[str, Any] = from_json(body)
            self._rows.writerow((*self._session, *map(self._cell, self._values(turn))))
        return self._taken()

    def end_session(self) -> bytes:
        return b""

    def end(self) -> bytes:
        return b""

    def _taken(self) -> bytes:
        data = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return data

    def _values(self, turn: dict[str, Any]) -> tuple[object, ...]:
        usage: Mapping[str, Any] = turn["usage"] or {}
        actor: Mapping[str, Any] = turn["actor"] or {}
        content: object = turn["content"]
        values = (
            *(turn["seq"], turn["turn_id"], turn["branch_id"], turn["parent_turn_id"]),
            *(turn["at"], turn["role"], turn["name"], turn["status"], turn["edited"]),
            *(_text_of(content), turn["tool_calls"], turn["tool_call_id"], turn["artifacts"]),
            *(turn["model"], usage.get("input_tokens"), usage.get("output_tokens")),
            *(turn["response_time_ms"], actor.get("kind"), actor.get("id"), actor.get("name")),
            turn["metadata"],
        )
        if not self._annotations:
            return values
        notes: list[dict[str, Any]] = turn["annotations"]
        kinds = ("rating", "reaction", "comment")
        return values + tuple(_notes(notes, kind) for kind in kinds)

    def _cell(self, value: object) -> str:
        if value is None:
            return ""
        text = value if isinstance(value, str) else _plain_value(value)
        if not self._whole_cells and len(text) > MAX_CELL // 2:
            text = _fitting(text)
        if text[:1].isalnum():  # most: far cheaper to see
            return text
        return f"'{text}" if _RISKY.match(text) else text


def _plain_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return to_json(value).decode()
    return str(value)


def _text_of(content: object) -> object:
    """The text of a content; of parts that are not all text, the parts as JSON."""
    if not isinstance(content, list):
        return content
    parts = cast(list[dict[str, Any]], content)
    return plain(parts) if all(isinstance(part.get("text"), str) for part in parts) else parts


def _notes(notes: list[dict[str, Any]], kind: str) -> str:
    """The values of the annotations of a kind, and who they are by, a line each."""
    found = [note for note in notes if note["kind"] == kind]
    lines = (_plain_value(note["value"]) if note["value"] is not None else "" for note in found)
    return "\n".join(
        f"{line} ({note['by']})" if note["by"] else line
        for line, note in zip(lines, found, strict=True)
    )


def _fitting(text: str) -> str:
    """As much of a text as a cell holds, with room for an apostrophe."""
    encoded = text.encode("utf-16-le")
    if len(encoded) // 2 < MAX_CELL:
        return text
    kept = encoded[: 2 * (MAX_CELL - 1 - len(CUT))]
    return kept.decode("utf-16-le", errors="ignore") + CUT
