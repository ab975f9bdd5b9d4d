"""Whether what the archive holds of a session is sound: whole, unchanged, and what heads and stream
say as well."""

from collections.abc import Iterator, Sequence
from typing import Any

from turnlog_projector.batch import event_hash
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.verify_differences import MISSING, PRESENT, ROW, Difference
from turnlog_projector.verify_reading import ArchiveRow, HeadRow
from turnlog_projector.verify_stubs import StubCheck


class ArchiveCheck:
    """Takes the archived events of one session in order of seq; says what is wrong with each."""

    def __init__(self, key: SessionKey) -> None:
        self._key = key
        self._pos = 0
        self.stubs = StubCheck(key)
        self.last: StoredEvent | None = None

    @property
    def seq(self) -> int:
        """Of the last event taken; 0 before the first."""
        return self.last.seq if self.last is not None else 0

    def take(self, row: ArchiveRow) -> Iterator[Difference]:
        """Check the next event."""
        event = row.event
        if event.seq != self.seq + 1:
            yield missing_events(self._key, self.seq + 1, event.seq - 1)
        hashed = event_hash(event.raw)
        if hashed != row.hash:
            yield _wrong(self._key, event.seq, "hash", row.hash.hex(), hashed.hex())
        if row.pos <= self._pos:
            yield _wrong(self._key, event.seq, "pos", self._pos + 1, row.pos)
        self._pos = row.pos
        self.stubs.take(row)
        self.last = event


def missing_events(key: SessionKey, first: int, last: int) -> Difference:
    """A gap in the archive, both ends included."""
    row = f"seqs {first} to {last}" if last > first else ""
    return Difference(*key[1:], first, "archive", row, ROW, PRESENT, MISSING)


def check_head(
    key: SessionKey, head: HeadRow | None, last: StoredEvent | None
) -> Iterator[Difference]:
    """Whether heads names the last archived event."""
    if head is None:
        if last is not None:
            yield Difference(*key[1:], last.seq, "heads", "", ROW, PRESENT, MISSING)
        return
    seq = last.seq if last is not None else 0
    if head.seq > seq:
        yield missing_events(key, seq + 1, head.seq)
        return
    if last is None:
        return
    for field, expected, found in (
        ("seq", last.seq, head.seq),
        ("event_id", last.event_id, head.event_id),
        ("recorded_at", last.recorded_at, head.recorded_at),
    ):
        if expected != found:
            yield Difference(*key[1:], last.seq, "heads", "", field, expected, found)


def compare_stream(
    key: SessionKey, archived: Sequence[StoredEvent], streamed: Sequence[StoredEvent]
) -> Iterator[Difference]:
    """Where events of the stream are not what the archive holds under their seqs. What one of them
    lacks is no matter here: the stream may have been trimmed, the archive has gaps of its own."""
    if streamed and list(streamed) == list(archived[-len(streamed) :]):
        return
    known = {event.seq: event for event in archived}
    for event in streamed:
        stored = known.get(event.seq)
        if stored is None or stored == event:
            continue
        for field, expected, found in (
            ("event_id", event.event_id, stored.event_id),
            ("recorded_at", event.recorded_at, stored.recorded_at),
            ("bytes", event.raw, stored.raw),
        ):
            if expected != found:
                yield _wrong(key, event.seq, field, expected, found)


def _wrong(key: SessionKey, seq: int, field: str, expected: Any, found: Any) -> Difference:
    return Difference(*key[1:], seq, "archive", "", field, expected, found)
