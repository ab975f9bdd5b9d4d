"""Reading what partitions hold beyond their offsets. It asks Redis alone, so that the next batch
can be read while the one before is being written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from turnlog_projector.batch import Offset
from turnlog_projector.folding import Decoded, decode_all
from turnlog_projector.log import IndexEntry, LogReader, SessionKey, Tail

_LEAST_ENTRIES = 50


class AnchorLost(Exception):
    """The index does not hold the entry that the partition was projected up to: audit it."""

    def __init__(self, partition: int) -> None:
        super().__init__(f"partition {partition}: the index lost the anchor")
        self.partition = partition


class Limits(NamedTuple):
    """How much one reading takes at most; a single index entry may exceed it."""

    events: int
    bytes: int


@dataclass(slots=True)
class SessionReading:
    """What the index tells of one session, in order, and the events that it names."""

    entries: list[IndexEntry]
    first: int
    """The lowest seq that they name."""
    newest: IndexEntry
    """The last of them that reach furthest."""
    tail: Tail | None = None
    """Not read when the index tells of more than one batch takes, as a healing may, or not how
    much it is: such a session is projected in pieces."""
    decoded: Decoded | None = None

    @classmethod
    def of(cls, entries: list[IndexEntry]) -> "SessionReading":
        newest = max(reversed(entries), key=lambda entry: entry.end)
        return cls(entries, min(entry.first for entry in entries), newest)

    def tells_size(self, first: int, limits: "Limits") -> bool:
        """Whether the entries tell of every event from seq `first` on, and that all of them
        together are within the limits."""
        told = [entry for entry in self.entries if entry.end >= first]
        return (
            self.newest.end - first < limits.events
            and sum(entry.events for entry in told) > self.newest.end - first
            and all(entry.size for entry in told)
            and sum(entry.size for entry in told) <= limits.bytes
        )


@dataclass(slots=True)
class Reading:
    """The next events of some partitions."""

    anchors: dict[int, Offset]
    """The offsets that it goes on from."""
    ends: dict[int, IndexEntry]
    """The last index entry taken of each partition that has new ones."""
    sessions: dict[SessionKey, SessionReading]
    more: set[int]
    """Partitions of which not everything was taken."""


def read(
    log: LogReader,
    anchors: Mapping[int, Offset],
    limits: Limits,
    known: Callable[[SessionKey], int],
) -> Reading:
    """Read on from the anchors. `known`: up to which seq a session need not be read (0: all).

    Raises `AnchorLost`, and redis-py's errors.
    """
    reading = _plan(log, anchors, limits)
    wanted: list[tuple[SessionKey, int, int]] = []
    for key, session in reading.sessions.items():
        first, last = max(session.first, known(key) + 1), session.newest.end
        if first > last:
            session.tail = Tail([], None)
        elif session.tells_size(first, limits):
            wanted.append((key, first, last))
    for (key, _, _), tail in zip(wanted, log.tails(wanted), strict=True):
        session = reading.sessions[key]
        session.tail = tail
        session.decoded = decode_all(key, tail.events)
    return reading


def _plan(log: LogReader, anchors: Mapping[int, Offset], limits: Limits) -> Reading:
    """Which index entries are taken from each partition, and which partitions have more."""
    count = max(limits.events // max(len(anchors), 1), _LEAST_ENTRIES)
    wanted = [(partition, anchor.n) for partition, anchor in anchors.items()]
    reading = Reading(dict(anchors), {}, {}, set())
    events = size = 0
    for (partition, _), entries in zip(wanted, log.index_from(wanted, count + 1), strict=True):
        fresh = _after_anchor(partition, anchors[partition], entries)
        sessions: dict[str, list[IndexEntry]] = {}
        taken = 0
        for entry in fresh:
            if events and (events + entry.events > limits.events or size > limits.bytes):
                break
            sessions.setdefault(entry.session, []).append(entry)
            taken += 1
            events += entry.events
            size += entry.size
        if taken:
            reading.ends[partition] = fresh[taken - 1]
        for told in sessions.values():
            reading.sessions[told[0].key(partition)] = SessionReading.of(told)
        if taken < len(fresh) or len(entries) > count:
            reading.more.add(partition)
    return reading


def _after_anchor(
    partition: int, anchor: Offset, entries: Sequence[IndexEntry]
) -> Sequence[IndexEntry]:
    if anchor.n == 0:
        if entries and entries[0].n != 1:
            raise AnchorLost(partition)
        return entries
    if (
        not entries
        or entries[0].n != anchor.n
        or entries[0].session != anchor.session
        or entries[0].last != anchor.event_id
    ):
        raise AnchorLost(partition)
    return entries[1:]
