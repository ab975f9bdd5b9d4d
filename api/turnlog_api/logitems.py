"""Events as people see the log: as they are stored, spliced with their place in it.

The bytes of an event that was folded are known to be a JSON object, and are not parsed again.
"""

from base64 import b64encode
from typing import Any, cast

from pydantic_core import from_json, to_json

from turnlog_api.logsteps import LogEvent
from turnlog_schemas import times

_NOTE = "these bytes are no event; base64 holds them as they are"


def is_of(event: LogEvent, type_: str) -> bool:
    """Whether an event is of a type; one that is no event is of none."""
    raw = event.stored.raw
    if type_.encode() not in raw and b"\\u" not in raw:
        return False
    envelope = _object(raw)
    return envelope is not None and envelope.get("type") == type_


def event_item(event: LogEvent, *, folded: bool) -> bytes:
    """The event as a JSON object, with seq and recorded_at. They come last, so that they stand
    whatever it holds itself. `folded`: it is known that it could be."""
    stored = event.stored
    place = b'"seq":%d,"recorded_at":"%b"' % (
        stored.seq,
        times.from_ms(stored.recorded_at).encode(),
    )
    if event.repeat_of is not None:
        place += b',"repeat_of":%d' % event.repeat_of
    envelope = stored.raw.strip()
    if not folded and not _object(envelope):
        unreadable = {
            "event_id": stored.event_id,
            "base64": b64encode(stored.raw).decode(),
            "note": _NOTE,
        }
        envelope = to_json(unreadable)
    return b"%b,%b}" % (envelope[:-1], place)


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value: Any = from_json(raw, allow_inf_nan=False)
    except ValueError:
        return None
    return cast(dict[str, Any], value) if isinstance(value, dict) else None
