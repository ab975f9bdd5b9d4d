"""Pages of the log itself: every event as it is stored."""

from typing import NamedTuple

from turnlog_api.logitems import event_item, is_of
from turnlog_api.logsteps import CHUNK_EVENTS, Gap, LogEvent, Span
from turnlog_api.sessionlog import SessionLog, SessionLogs

MAX_PAGE_BYTES = 16 * 1024 * 1024
"""A page ends with the event that reaches this, whatever its limit."""

MAX_LOOKED_THROUGH = 5000
"""A page of events of one type ends after so many events of any."""


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
            if window.type is None or is_of(event, window.type):
                items.append(event_item(event, folded=_is_folded(log, event.seq)))
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
