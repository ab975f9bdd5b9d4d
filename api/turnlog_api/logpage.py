"""Pages of the log itself: every event as it is stored, spliced with its place in the log.

The bytes of an event that was folded are known to be a JSON object, and are not parsed again.
"""

from base64 import b64encode
from typing import Any, NamedTuple, cast

from pydantic_core import from_json, to_json

from turnlog_api.logsteps import CHUNK_EVENTS, Gap, LogEvent, Span
from turnlog_api.sessionlog import SessionLog, SessionLogs
from turnlog_schemas import times

MAX_PAGE_BYTES = 16 * 1024 * 1024
"""A page ends with the event that reaches this, whatever its limit."""

MAX_LOOKED_THROUGH = 5000
"""A page of events of one type ends after so many events of any."""

_NOTE = "these bytes are no event; base64 holds them as they are"


class EventsWindow(NamedTuple):
    """Which events: those with `after` < seq < `before`, from the first or from the last one."""

    after: int
    before: int
    descending: bool
    limit: int
    type: str | None
    """None: of all types."""


class EventsPage(NamedTuple):
    """`items` are JSON objects. `last_seq` is where to go on when there may be more: behind the
    last event that was looked at."""

    items: list[bytes]
    last_seq: int | None


async def events_page(logs: SessionLogs, log: SessionLog, window: EventsWindow) -> EventsPage:
    """A page of a log. Raises `Gap` when the log is being trimmed or healed."""
    first, last = window.after + 1, min(window.before - 1, log.end)
    items: list[bytes] = []
    size = looked = 0
    while first <= last and len(items) < window.limit:
        if size >= MAX_PAGE_BYTES or looked >= MAX_LOOKED_THROUGH:
            break
        count = CHUNK_EVENTS if window.type else min(window.limit - len(items), CHUNK_EVENTS)
        events = await _chunk(logs, log, first, last, count, descending=window.descending)
        for event in events:
            if window.descending:
                last = event.seq - 1
            else:
                first = event.seq + 1
            looked += 1
            event = log.decoder.without_erased(event)
            if window.type is None or _is_of(event, window.type):
                items.append(_item(event, folded=_is_folded(log, event.seq)))
                size += len(items[-1])
            if len(items) == window.limit or size >= MAX_PAGE_BYTES:
                break
    if first > last:
        return EventsPage(items, None)
    return EventsPage(items, last + 1 if window.descending else first - 1)


async def _chunk(
    logs: SessionLogs, log: SessionLog, first: int, last: int, count: int, *, descending: bool
) -> list[LogEvent]:
    """Some events from either end, without a gap."""
    if descending:
        events = await logs.newest_first(log, Span(max(first, last - count + 1), last))
        expected = range(last, last - len(events), -1)
    else:
        events = await logs.events(log, Span(first, min(last, first + count - 1)))
        expected = range(first, first + len(events))
    if not events or [event.seq for event in events] != list(expected):
        raise Gap
    return events


def _is_folded(log: SessionLog, seq: int) -> bool:
    return seq <= log.projected_seq and seq not in log.decoder.skipped


def _is_of(event: LogEvent, type_: str) -> bool:
    raw = event.stored.raw
    if type_.encode() not in raw and b"\\u" not in raw:
        return False
    envelope = _object(raw)
    return envelope is not None and envelope.get("type") == type_


def _item(event: LogEvent, *, folded: bool) -> bytes:
    """The event with seq and times; they come last, so that they stand whatever it holds itself."""
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
