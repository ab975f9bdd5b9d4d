"""What a verification finds: where it is, what it should be, what it is; told without the text that
people wrote, unless that is asked for."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from turnlog_projector.lines import TABLES, fields
from turnlog_projector.log import SessionKey

ROW = "row"
PRESENT, MISSING = "present", "missing"

# Fields that hold no text of people. Everything else is told by length and a short hash.
_PLAIN = (
    {"row", "seq", "event_id", "recorded_at", "repeat_of", "pos", "hash", "partition"}
    | {"parked_seq", "state", "turn_count", "archived", "pinned", "deleted", "created_at"}
    | {"updated_at", "visibility", "started", "erased", "floor", "last_turn_id", "branches"}
    | {"last_turn_seq", "title_turn_id", "tip_turn_id", "ignored", "branch_id", "kind", "type"}
    | {"title_source", "turn_id", "role", "status", "at", "edited", "response_time_ms", "source"}
    | {"input_tokens", "output_tokens", "counts", "response_us"}
    | {"parent_turn_id", "first_seq", "fork_seq", "parent_branch_id", "session_id", "tenant"}
)
_LONGEST_PLAIN = 128
_NAMED_BY = {"turns": "turn_id", "branches": "branch_id"} | dict.fromkeys(
    ("turn_revisions", "annotations"), "turn_id"
)


class Difference(NamedTuple):
    """One thing that is not as the log says. The values are as they stand: `told` masks them."""

    tenant: str
    session_id: str
    """Both empty for what concerns a whole partition."""
    seq: int | None
    table: str
    """A read model, or archive, stream, heads, parked, offsets."""
    row: str
    """Which row, where the seq does not say it: a turn, a branch, a partition."""
    field: str
    """A column, `body.<member>` for a part of the ready JSON, or `row` for a row as a whole."""
    expected: Any
    found: Any

    def told(self, *, values: bool) -> "Difference":
        """The same with values that may be shown: without `values`, texts become their length and a
        short hash, which tells two of them apart."""
        if values:
            return self._replace(expected=_decoded(self.expected), found=_decoded(self.found))
        plain = self.field.removeprefix("body.") in _PLAIN
        expected, found = (_masked(value, plain=plain) for value in (self.expected, self.found))
        return self._replace(expected=expected, found=found)

    def line(self) -> str:
        """On one line, for people. Mask it first."""
        where = [f"{self.tenant}:{self.session_id}" if self.session_id else self.row]
        if self.seq is not None:
            where.append(f"seq {self.seq}")
        where.append(self.table)
        if self.session_id and self.row:
            where.append(self.row)
        where.append(f"{self.field}: expected {_written(self.expected)}")
        return f"{' '.join(where)}, found {_written(self.found)}"


def compare(key: SessionKey, table: str, expected: bytes, found: bytes) -> Iterator[Difference]:
    """Where the lines of a session in one read model differ."""
    wanted, extra = _by_key(table, expected)
    present, twice = _by_key(table, found)
    assert not extra, "the fold makes no row twice"
    for place in sorted(wanted.keys() | present.keys()):
        ours, theirs = wanted.get(place), present.get(place)
        if ours is None or theirs is None:
            row = ours or theirs or {}
            values = (PRESENT, MISSING) if ours is not None else (MISSING, PRESENT)
            yield _difference(key, table, row, ROW, *values)
            continue
        for name, value in ours.items():
            other = theirs[name]
            if value == other:
                continue
            if name == "body":
                yield from _compare_bodies(key, table, ours, value, other)
            else:
                yield _difference(key, table, ours, name, _value(name, value), _value(name, other))
    for row in twice:
        yield _difference(key, table, row, ROW, "once", "twice")


_Row = dict[str, str | None]


def _by_key(table: str, lines: bytes) -> tuple[dict[tuple[tuple[int, str], ...], _Row], list[_Row]]:
    columns, key = TABLES[table]
    found: dict[tuple[tuple[int, str], ...], _Row] = {}
    twice: list[_Row] = []
    for line in lines.split(b"\n")[:-1]:
        row = dict(zip(columns, fields(line), strict=True))
        place = tuple(_sorting(name, row[name] or "") for name in key)
        if place in found:
            twice.append(row)
        found[place] = row
    return found, twice


def _sorting(name: str, value: str) -> tuple[int, str]:
    return (len(value) if name == "seq" else 0, value)  # numbers sort by length first


def _compare_bodies(
    key: SessionKey, table: str, row: _Row, expected: str | None, found: str | None
) -> Iterator[Difference]:
    ours, theirs = _members(expected), _members(found)
    if ours is None or theirs is None or to_json(ours) == to_json(theirs):
        yield _difference(key, table, row, "body", expected, found)
        return
    for name in dict.fromkeys([*ours, *theirs]):
        if name not in ours or name not in theirs:
            values = (PRESENT, MISSING) if name in ours else (MISSING, PRESENT)
            yield _difference(key, table, row, f"body.{name}", *values)
        elif to_json(ours[name]) != to_json(theirs[name]):
            yield _difference(key, table, row, f"body.{name}", ours[name], theirs[name])


def _members(body: str | None) -> dict[str, Any] | None:
    try:
        value: Any = from_json(body or "")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType]


def _difference(
    key: SessionKey, table: str, row: _Row, field: str, expected: Any, found: Any
) -> Difference:
    seq = row.get("seq") or row.get("first_seq")
    name = row.get(_NAMED_BY.get(table, "")) or ""
    return Difference(
        key.tenant, key.session_id, int(seq) if seq else None, table, name, field, expected, found
    )


def _value(name: str, text: str | None) -> Any:
    """A column as JSON tells it: numbers and truth values as such."""
    if text is None or name not in _PLAIN:
        return text
    if text in ("t", "f"):
        return text == "t"
    return int(text) if text.lstrip("-").isdecimal() and not name.endswith("_id") else text


def _masked(value: Any, *, plain: bool) -> Any:
    if value is None or isinstance(value, bool | int | float) or value in (PRESENT, MISSING):
        return value
    if plain and isinstance(value, str) and len(value) <= _LONGEST_PLAIN:
        return value
    raw = value if isinstance(value, bytes) else to_json(value)
    size = len(value) if isinstance(value, bytes | str) else len(raw)
    unit = "bytes" if isinstance(value, bytes) else "characters"
    return f"{size} {unit} #{blake2b(raw, digest_size=4).hexdigest()}"


def _decoded(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _written(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else to_json(value).decode()
