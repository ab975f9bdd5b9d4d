"""The JSON lines of an export: every event of a session, one a line, and back into a log.

    {"session_id":"s-1","seq":1,"event_id":"…","recorded_at":"2026-01-31T12:00:00.000000Z","event":{…}}

`event` is the event as it is stored, byte for byte. `"repeat_of":<seq>` before it marks an event
that came again, `"skipped":true` one that an operator has declared void: both fold to nothing.
Bytes that are no event stand in `"base64"` instead of `"event"`.

A log takes lines in again seq by seq, so that branches, which are named after seqs, are the same.
What folds to nothing, or was erased, becomes an event of the same place that folds to the same.
"""

from base64 import b64decode, b64encode
from typing import Annotated, Any, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from turnlog_schemas import times
from turnlog_schemas.codec import RecordedEvent, decode
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.events import Id
from turnlog_schemas.ids import derived_id
from turnlog_schemas.rows import LAST_SEQ
from turnlog_schemas.stubs import PLACING

VOID = "event.void"
"""The type of an event that only keeps a place."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    session_id: Id
    seq: Annotated[int, Field(ge=1, le=LAST_SEQ)]
    event_id: Id
    recorded_at: str
    repeat_of: int | None = None
    skipped: bool = False
    event: dict[str, Any] | None = None
    base64: str | None = None


_line = TypeAdapter(_Line).validator


class ExportLine(NamedTuple):
    """A line of an export. `raw` are the bytes of the event, as they are stored."""

    session_id: str
    seq: int
    event_id: str
    recorded_at: str
    raw: bytes
    repeat_of: int | None = None
    skipped: bool = False


class Again(NamedTuple):
    """An event that is ready to be appended to another log."""

    event_id: str
    type: str
    at: str
    raw: bytes
    turn_id: str | None
    owner: str
    """The user_id of a session.started; '' for all else."""


def make_line(line: ExportLine, *, folded: bool = False) -> bytes:
    """The line, with its end. `folded`: it is known that the event could be read."""
    raw = line.raw.strip()
    if not folded and not _is_object(raw):
        return b'%b"base64":"%b"}\n' % (_begin(line), b64encode(line.raw))
    if b"\n" in raw or b"\r" in raw:  # between the parts of the JSON: within texts they are escaped
        raw = raw.replace(b"\n", b" ").replace(b"\r", b" ")
    return b'%b"event":%b}\n' % (_begin(line), raw)


def is_line(value: object) -> bool:
    """Whether a JSON value looks like a line of an export."""
    if not isinstance(value, dict):
        return False
    keys = cast(dict[str, Any], value).keys()
    return {"session_id", "seq", "recorded_at"} <= keys and bool({"event", "base64"} & keys)


def read_line(text: bytes) -> ExportLine:
    """Read a line; one that a tool has written anew, too. Raises `InvalidEvent`."""
    try:
        value: Any = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidEvent(f"no JSON: {str(error).splitlines()[0][:160]}") from None
    try:
        given = cast(_Line, _line.validate_python(value))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in fault["loc"][:2]) or "line"
        raise InvalidEvent(f"{place}: {fault['msg'][0].lower()}{fault['msg'][1:]}") from None
    recorded_at = times.normalise(given.recorded_at)
    line = ExportLine(
        *(given.session_id, given.seq, given.event_id, recorded_at),
        *(b"", given.repeat_of, given.skipped),
    )
    if given.event is not None:
        begin = _begin(line) + b'"event":'
        text = text.strip()
        verbatim = text.startswith(begin)
        return line._replace(raw=text[len(begin) : -1] if verbatim else to_json(given.event))
    try:
        return line._replace(raw=b64decode(given.base64 or "", validate=True))
    except ValueError:
        raise InvalidEvent("base64: allowed is base64 of an event's bytes") from None


def again(line: ExportLine) -> Again:
    """The event that stands for the line in another log: at the same seq it folds to the same.
    Where the producer's clock was ahead of the log's, it gets the log's time: that is the one that
    was shown. Raises `InvalidEvent` for an event that cannot be folded."""
    if line.repeat_of is not None:
        event_id = derived_id("export", "repeat", line.session_id, str(line.seq))
        return _void(line, {}, event_id=event_id)
    if line.skipped:
        return _void(line, {})
    event = _decoded(line)
    if event.erased is not None:
        return _from_stub(line, event)
    if event.at <= line.recorded_at:
        return _again(event, line.event_id, line.raw)
    envelope: dict[str, Any] = from_json(line.raw)
    raw = to_json(envelope | {"at": line.recorded_at})
    return _again(_decoded(line._replace(raw=raw)), line.event_id, raw)


def _begin(line: ExportLine) -> bytes:
    repeats = b"" if line.repeat_of is None else b'"repeat_of":%d,' % line.repeat_of
    skipped = b'"skipped":true,' if line.skipped else b""
    return b'{"session_id":"%b","seq":%d,"event_id":"%b","recorded_at":"%b",%b%b' % (
        line.session_id.encode(),
        line.seq,
        line.event_id.encode(),
        line.recorded_at.encode(),
        repeats,
        skipped,
    )


def _is_object(raw: bytes) -> bool:
    try:
        return isinstance(from_json(raw, allow_inf_nan=False), dict)
    except ValueError:
        return False


def _decoded(line: ExportLine) -> RecordedEvent:
    return decode(
        line.raw,
        tenant="-",
        session_id=line.session_id,
        seq=line.seq,
        recorded_at=times.to_ms(line.recorded_at),
    )


def _again(event: RecordedEvent, event_id: str, raw: bytes) -> Again:
    turn_id = event.data.get("turn_id")
    owner = (event.data.get("user_id") or "") if event.type == "session.started" else ""
    return Again(
        event_id, event.type, event.at, raw, turn_id if isinstance(turn_id, str) else None, owner
    )


def _from_stub(line: ExportLine, stub: RecordedEvent) -> Again:
    """What an erasure has left of an event, as an event without text: the erasing event, which
    comes as well, makes a stub of it again."""
    data = dict(stub.data)
    if stub.type in PLACING and "role" not in data:
        return _void(line, data)
    if stub.type == "turn.edited":
        data["content"] = None
    elif stub.type == "turn.annotated":
        data |= {"kind": "rating", "value": None}
    at = min(stub.at, line.recorded_at)
    raw = _envelope(line.event_id, stub.type, stub.version, at, data)
    try:
        return _again(_decoded(line._replace(raw=raw)), line.event_id, raw)
    except InvalidEvent:
        return _void(line, data)


def _void(line: ExportLine, data: dict[str, Any], *, event_id: str | None = None) -> Again:
    event_id = event_id or line.event_id
    raw = _envelope(event_id, VOID, 1, line.recorded_at, data)
    return Again(event_id, VOID, line.recorded_at, raw, None, "")


def _envelope(event_id: str, type_: str, version: int, at: str, data: dict[str, Any]) -> bytes:
    return to_json(
        {"event_id": event_id, "type": type_, "version": version, "at": at, "data": data}
    )
