"""What an erasing event names, and what becomes of it. Pure: bytes in, bytes out.

`session.erased` names every other event of its session. `turn.erased` names those that tell of its
turn, also those that come later: events of the known types by their `turn_id`; any other event,
also one that cannot be read, by the id standing anywhere in it, `parent_turn_id` aside.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, cast

from pydantic_core import from_json, to_json

from turnlog_schemas import times
from turnlog_schemas.codec import RecordedEvent, decode
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.events import EVENT_TYPES, MAX_VERSION, TYPE_PATTERN
from turnlog_schemas.stubs import PLACING, UNREADABLE, is_stub, make_stub, placing_data

WHOLE_SESSION = ""
"""In the place of a turn_id: not one turn is erased, but the session."""

_TYPE = re.compile(TYPE_PATTERN)
_WORD = re.compile(rb"[A-Za-z0-9._~-]+")


class Stored(NamedTuple):
    """An event as the log holds it."""

    seq: int
    event_id: str
    recorded_at: int
    raw: bytes


class TurnStub(NamedTuple):
    """The stub of an event, and the erased turn that the event named."""

    turn_id: str
    raw: bytes


def erased_by(event: RecordedEvent) -> str | None:
    """The turn_id that an event erases, `WHOLE_SESSION`, or None when it erases nothing."""
    if event.repeat_of is not None or event.erased is not None:
        return None
    if event.type == "session.erased":
        return WHOLE_SESSION
    return event.data["turn_id"] if event.type == "turn.erased" else None


def erasing_event(stored: Stored, repeat_of: int | None = None) -> str | None:
    """The same of stored bytes; what cannot be read erases nothing."""
    if b".erased" not in stored.raw and b"\\u00" not in stored.raw:
        return None
    try:
        return erased_by(_decode(stored, repeat_of))
    except InvalidEvent:
        return None


def session_stub(stored: Stored, erased: int) -> bytes:
    """What stays of an event of a session that the event with seq `erased` has erased."""
    envelope = _envelope(stored.raw)
    return make_stub(
        stored.event_id, _type(envelope), _version(envelope), _at(envelope, stored), erased, {}
    )


def tombstone(stored: Stored) -> bytes:
    """What stays of the session.erased itself: all but names, reasons and whatever else a producer
    has put in; its bytes as they were when they hold nothing of that."""
    envelope = _envelope(stored.raw)
    kept: dict[str, Any] = {key: envelope[key] for key in ("event_id", "type", "version", "at")}
    actor = envelope.get("actor")
    if actor is not None:
        kept["actor"] = {"kind": actor["kind"]}
    kept["data"] = {}
    return stored.raw if kept == envelope else to_json(kept)


def turn_stub(stored: Stored, erased: Mapping[str, int]) -> TurnStub | None:
    """What stays of an event once some turns are erased (turn_id -> seq of the erasing event); None
    when it names none of them, is a stub already, or is an erasing event itself."""
    if not may_name(stored.raw, erased):
        return None
    envelope = _envelope(stored.raw)
    type_ = _type(envelope)
    if is_stub(envelope) or type_ in ("session.erased", "turn.erased"):
        return None
    data: dict[str, Any] = {}
    named = None
    try:
        event = _decode(stored, None)
        if type_ in EVENT_TYPES:
            if not type_.startswith("turn.") or event.data["turn_id"] not in erased:
                return None
            named = cast(str, event.data["turn_id"])
            data = placing_data(type_, event.data) if type_ in PLACING else {"turn_id": named}
    except InvalidEvent:
        if not envelope:
            named = next((id_ for id_ in _words(stored.raw) if id_ in erased), None)
    if named is None and envelope:
        named = next((text for text in _texts(envelope) if text in erased), None)
    if named is None:
        return None
    data = data or {"turn_id": named}
    version, at = _version(envelope), _at(envelope, stored)
    raw = make_stub(stored.event_id, type_, version, at, erased[named], data)
    return TurnStub(named, raw)


def may_name(raw: bytes, turn_ids: Collection[str]) -> bool:
    """False for bytes that surely name none of the turns: an id stands there as it is, or JSON has
    escaped some of it, which no usual producer does."""
    return b"\\u00" in raw or any(turn_id.encode() in raw for turn_id in turn_ids)


def lawful(stub: RecordedEvent, erased: Collection[str]) -> bool:
    """Whether a stub may stand in a log whose erasing events erase `erased`: turn_ids, perhaps
    `WHOLE_SESSION`."""
    return WHOLE_SESSION in erased or stub.data.get("turn_id") in erased


def _decode(stored: Stored, repeat_of: int | None) -> RecordedEvent:
    return decode(
        stored.raw,
        tenant="-",
        session_id="-",
        seq=stored.seq,
        recorded_at=stored.recorded_at,
        repeat_of=repeat_of,
    )


def _envelope(raw: bytes) -> dict[str, Any]:
    """The JSON object of an event, whatever it holds; empty when the bytes are none."""
    try:
        envelope = from_json(raw)
    except ValueError:
        return {}
    return cast(dict[str, Any], envelope) if isinstance(envelope, dict) else {}


def _type(envelope: dict[str, Any]) -> str:
    type_ = envelope.get("type")
    known = isinstance(type_, str) and len(type_) <= 64 and _TYPE.fullmatch(type_)
    return cast(str, type_) if known else UNREADABLE


def _version(envelope: dict[str, Any]) -> int:
    version = envelope.get("version")
    return version if type(version) is int and 1 <= version <= MAX_VERSION else 1


def _at(envelope: dict[str, Any], stored: Stored) -> str:
    try:
        return times.as_logged(str(envelope.get("at")))
    except InvalidEvent:
        return times.from_ms(stored.recorded_at)


def _texts(value: object) -> "list[str]":
    """Every text in a JSON value, names of fields included, but not what `parent_turn_id` says."""
    found: list[str] = []
    waiting: list[object] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            found.append(each)
        elif isinstance(each, list):
            waiting.extend(cast(list[object], each))
        elif isinstance(each, dict):
            for name, inner in cast(dict[str, object], each).items():
                found.append(name)
                if name != "parent_turn_id":
                    waiting.append(inner)
    return found


def _words(raw: bytes) -> "list[str]":
    return [word.decode() for word in _WORD.findall(raw)]
