"""The projection of partitions: from the index, through the streams, into one transaction.

A `Projection` belongs to one worker. It owns nothing for good: every write begins with a
compare-and-set on the partition's offset, so a second worker, a pause or a crash at any point can
neither lose an event nor write one twice.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import redis

from turnlog_projector.batch import Archived, Batch, LostPartition, Offset
from turnlog_projector.database import Database, scalar
from turnlog_projector.folding import Decoded, decode_all, fold_all
from turnlog_projector.log import IndexEntry, LogReader, SessionKey, StoredEvent
from turnlog_projector.reading import AnchorLost as AnchorLost
from turnlog_projector.reading import Limits, Reading, SessionReading, read
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.repeats import find_repeats
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import columns
from turnlog_projector.work import SessionWork
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.rows import Session

MAX_BATCH_EVENTS = 5000
MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_CACHED_SESSIONS = 20_000
_CAUGHT_UP_EVENTS = 500
"""Read at once where no index entry tells how large they are: each may have 1 MiB."""
_BEHIND_AT_ONCE = 8

logger = logging.getLogger(__name__)


class StreamBroken(Exception):
    """A stream does not go on from what is archived: heal the session."""

    def __init__(self, key: SessionKey, reason: str) -> None:
        super().__init__(f"session {key.field}: {reason}")
        self.key = key
        self.reason = reason


class Projection:
    """Projects partitions over one connection to each server."""

    def __init__(self, log: LogReader, connection: Database) -> None:
        self.log = log
        self.connection = connection
        self.models = ReadModels(connection, 0)
        self.offsets: dict[int, Offset] = {}
        self.settled: set[SessionKey] = set()
        """Sessions just put right: for what the index says of them, the stream is the truth."""
        self._sessions: OrderedDict[SessionKey, tuple[Archived, Session | None]] = OrderedDict()
        self._behind: list[int] = []
        """Partitions with more to do than a batch takes; each waits for its turn."""
        self._next: list[int] = []
        """Partitions to read ahead from while a large batch is being written."""
        self._ahead: Reading | None = None

    @property
    def generation(self) -> int:
        """The generation that is read and written, as of the last `reload`."""
        return self.models.generation

    def reload(self, partitions: Iterable[int]) -> None:
        """Forget what is cached; read the active generation and the offsets of the partitions."""
        self._sessions.clear()
        self.settled.clear()
        self._behind = []
        self._ahead = None
        with self.connection.transaction():
            # Offsets first: a flip raises their epochs as it changes `active`. One in between
            # leaves old epochs here, which fail at the first compare-and-set; the other way round,
            # rows would go into the generation that was left.
            rows = self.connection.execute(statement("load_offsets"), (list(partitions),))
            self.offsets = {row[0]: Offset(*row[1:]) for row in rows}
            generation = scalar(self.connection, "SELECT generation FROM turnlog.active")
        self.models = ReadModels(self.connection, generation)

    def project(self, partitions: Sequence[int]) -> tuple[int, set[int]]:
        """Project one batch; returns how many events it held, and the partitions with more to do.

        Raises `AnchorLost` or `StreamBroken` (nothing written) for what an audit or a healing must
        put right first, and `LostPartition` when another worker was quicker.
        """
        reading = self._ahead
        self._ahead = None
        if (
            reading is None
            or not reading.anchors.keys() <= set(partitions)
            or any(self.offsets[p] != anchor for p, anchor in reading.anchors.items())
        ):
            reading = self._read({p: self.offsets[p] for p in self._turn(partitions)})
        taken = reading.anchors.keys()
        more = reading.more | (set(partitions) - taken)
        self._behind = [p for p in self._behind if p not in taken] + sorted(reading.more)
        if not reading.ends:
            return 0, more
        return self._project(reading, more), more

    def _turn(self, partitions: Sequence[int]) -> list[int]:
        """Those that a batch takes: of partitions that are far behind a few at a time, so that the
        events of a session come together."""
        waiting = [p for p in self._behind if p in partitions]
        return [p for p in partitions if p not in waiting] + waiting[:_BEHIND_AT_ONCE]

    def _read(self, anchors: dict[int, Offset]) -> Reading:
        return read(self.log, anchors, Limits(MAX_BATCH_EVENTS, MAX_BATCH_BYTES), self._cached_seq)

    def _cached_seq(self, key: SessionKey) -> int:
        cached = self._sessions.get(key)
        return cached[0].seq if cached is not None else 0

    def _project(self, reading: Reading, more: set[int]) -> int:
        settled = self.settled & reading.sessions.keys()
        for key in settled:
            # What these entries tell is in the stream by now, so this projects all of it; where it
            # is still broken, the session has just been parked for that.
            with suppress(StreamBroken):
                while self.catch_up(key):
                    pass
        sessions = {k: session for k, session in reading.sessions.items() if k not in settled}
        self.load(sessions)
        self._check_chains(sessions)
        self._read_rest(sessions)
        batch = Batch(self.generation)
        self._add_sessions(batch, sessions)
        for partition, end in reading.ends.items():
            old = self.offsets[partition]
            pos = batch.positions.get(partition, old.pos)
            batch.moves[partition] = (old, Offset(end.n, end.session, end.last, old.epoch, pos))
        self._next = self._turn(sorted(more))
        try:
            self.commit(batch)
        finally:
            self._next = []
        self.settled -= settled
        return len(batch.archive)

    def catch_up(self, key: SessionKey) -> int:
        """Project what the stream of one session holds beyond the archive, whatever the index says;
        returns how many events that were. At most a batch: call again until it is 0."""
        self.load([key])
        first = self.archived(key).seq + 1
        [tail] = self.log.tails([(key, first, first + _CAUGHT_UP_EVENTS - 1)])
        if not tail.events:
            return 0
        _check_tail(key, first, tail.events[-1].seq, None, tail.events)
        events = _within(tail.events, MAX_BATCH_BYTES)
        batch = Batch(self.generation)
        repeats = find_repeats(self.connection, [(key, tail)]).get(key, {})
        self._fold(batch, [self._add(batch, key, events, decode_all(key, events), repeats)])
        old = self.offsets[key.partition]
        batch.moves[key.partition] = (
            old,
            old._replace(epoch=old.epoch + 1, pos=batch.positions[key.partition]),
        )
        self.commit(batch)
        return len(events)

    def load(self, keys: Iterable[SessionKey]) -> None:
        """Make sure that `archived` and the session rows of these keys are at hand."""
        missing: list[SessionKey] = []
        for key in keys:
            if key in self._sessions:
                self._sessions.move_to_end(key)
            else:
                missing.append(key)
        if not missing:
            return
        found = self.models.heads(missing)
        for key in missing:
            self._sessions[key] = found.get(key, (Archived(0, "", 0, None), None))

    def archived(self, key: SessionKey) -> Archived:
        """How far a loaded session is archived."""
        return self._sessions[key][0]

    def session(self, key: SessionKey) -> Session | None:
        """The row of a loaded session."""
        return self._sessions[key][1]

    def _add_sessions(self, batch: Batch, sessions: dict[SessionKey, SessionReading]) -> None:
        tails = [(key, s.tail) for key, s in sessions.items() if s.tail is not None]
        repeats = find_repeats(self.connection, tails)
        added: list[tuple[SessionWork, list[RecordedEvent]]] = []
        for key, tail in tails:
            decoded, archived = sessions[key].decoded, self.archived(key).seq
            events = tail.events
            if events and events[0].seq <= archived:
                events = [event for event in events if event.seq > archived]
            if not events:
                continue
            newest = sessions[key].newest
            _check_tail(key, archived + 1, newest.end, newest, events)
            if decoded is None or len(events) < len(tail.events):
                decoded = decode_all(key, events)
            added.append(self._add(batch, key, events, decoded, repeats.get(key, {})))
        self._fold(batch, added)

    def _add(
        self,
        batch: Batch,
        key: SessionKey,
        events: list[StoredEvent],
        decoded: Decoded,
        repeats: dict[int, int],
    ) -> tuple[SessionWork, list[RecordedEvent]]:
        """Archive events of one session, the next after what is archived; returns what to fold:
        nothing when the session is parked. `repeats`: seq of a repeat -> seq of the first event."""
        archived, session = self._sessions[key]
        reached = batch.positions.get(key.partition, self.offsets[key.partition].pos)
        for pos, event in enumerate(events, reached + 1):
            batch.add_event(key, pos, event, repeats.get(event.seq))
        batch.positions[key.partition] = reached + len(events)
        work = SessionWork(key, session, self.models if archived.seq else None)
        parked_seq, to_fold = archived.parked_seq, decoded.events
        if parked_seq is not None:
            to_fold = []
        elif decoded.stopped is not None:
            parked_seq = decoded.stopped.seq
            batch.parked[key] = decoded.stopped
        if repeats:
            for event in to_fold:
                event.repeat_of = repeats.get(event.seq)
        last = events[-1]
        batch.heads[key] = Archived(last.seq, last.event_id, last.recorded_at, parked_seq)
        batch.works[key] = work
        return work, to_fold

    def _fold(self, batch: Batch, added: Sequence[tuple[SessionWork, list[RecordedEvent]]]) -> None:
        for parked in fold_all(self.models, added):
            batch.parked[parked.key] = parked
            batch.heads[parked.key] = batch.heads[parked.key]._replace(parked_seq=parked.seq)

    def commit(self, batch: Batch) -> None:
        """Write the batch and remember what it made. On `LostPartition` forget what is cached."""
        try:
            if batch.large and self._next:
                with ThreadPoolExecutor(1) as pool:
                    written = pool.submit(batch.commit, self.connection)
                    self._read_ahead(batch)
                    written.result()
            else:
                batch.commit(self.connection)
        except LostPartition:
            self.reload(self.offsets)
            raise
        for partition, (_, new) in batch.moves.items():
            self.offsets[partition] = new
        for key, archived in batch.heads.items():
            work = batch.works.get(key)
            session = work.session if work else self._sessions[key][1]
            self._sessions[key] = (archived, session)
            self._sessions.move_to_end(key)
        for parked in batch.parked.values():
            logger.warning(
                "parked session %s at seq %d: %s", parked.key.field, parked.seq, parked.error
            )
        while len(self._sessions) > MAX_CACHED_SESSIONS:
            self._sessions.popitem(last=False)

    def forget(self, key: SessionKey) -> None:
        """Drop what is cached of a session, and what was read ahead."""
        self._sessions.pop(key, None)
        self._ahead = None

    def _read_ahead(self, batch: Batch) -> None:
        """Read on from where the batch will leave the partitions."""
        offsets = {**self.offsets, **{p: new for p, (_, new) in batch.moves.items()}}
        # Whatever goes wrong here is met again, where it is dealt with, by the next reading.
        with suppress(AnchorLost, redis.RedisError, OSError):
            self._ahead = self._read({p: offsets[p] for p in self._next})

    def _read_rest(self, sessions: dict[SessionKey, SessionReading]) -> None:
        """Read what was not: sessions of which the index tells more than one batch takes, most of
        it archived already."""
        wanted: list[tuple[SessionKey, int, int]] = []
        for key, session in sessions.items():
            first, last = self.archived(key).seq + 1, session.newest.end
            if session.tail is None and first <= last:
                wanted.append((key, first, last))
        for (key, _, _), tail in zip(wanted, self.log.tails(wanted), strict=True):
            sessions[key].tail = tail

    def _check_chains(self, sessions: dict[SessionKey, SessionReading]) -> None:
        """Each entry must go on from where its session is archived, or from the entry before it;
        one that tells of what is archived already must tell the same."""
        told: list[tuple[SessionKey, IndexEntry]] = []
        for key, session in sessions.items():
            archived = self.archived(key)
            seq, event_id = archived.seq, archived.event_id
            for entry in session.entries:
                if entry.first == seq + 1 and entry.prev != event_id:
                    raise StreamBroken(key, f"its history before seq {entry.first} is another one")
                if entry.first > seq + 1:
                    raise StreamBroken(key, f"the index skips seqs {seq + 1} to {entry.first - 1}")
                if entry.end == seq and entry.last != event_id:
                    raise StreamBroken(key, f"event {seq} is another one")
                if entry.end > seq:
                    seq, event_id = entry.end, entry.last
                elif entry.end < archived.seq:
                    told.append((key, entry))
        self._check_told(told)

    def _check_told(self, told: list[tuple[SessionKey, IndexEntry]]) -> None:
        """Index entries of events that are archived under later ones: sent again by a healing, or
        by a Redis that lost its newest events and has given their seqs to others."""
        if not told:
            return
        rows = self.connection.execute(
            statement("archived_at"), columns([(*key, entry.end) for key, entry in told], 4)
        )
        archived = {(SessionKey(*row[:3]), row[3]): row[4] for row in rows}
        for key, entry in told:
            if archived.get((key, entry.end)) != entry.last:
                raise StreamBroken(key, f"event {entry.end} is another one")


def _check_tail(
    key: SessionKey,
    first: int,
    last: int,
    entry: IndexEntry | None,
    events: list[StoredEvent],
) -> None:
    if [event.seq for event in events] != list(range(first, last + 1)):
        raise StreamBroken(key, f"the stream does not hold seqs {first} to {last}")
    for event in events:
        if not event.event_id:
            raise StreamBroken(key, f"entry {event.seq} was not written by the append script")
    if entry is not None and events[-1].event_id != entry.last:
        raise StreamBroken(key, f"event {last} is not the one that the index names")


def _within(events: list[StoredEvent], size: int) -> list[StoredEvent]:
    """The first events that together hold at most `size` bytes, at least one."""
    for index, event in enumerate(events):
        size -= len(event.raw)
        if size < 0:
            return events[: max(index, 1)]
    return events
