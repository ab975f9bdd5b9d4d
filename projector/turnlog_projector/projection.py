"""The projection of partitions: from the index, through the streams, into one transaction.

A `Projection` belongs to one worker. It owns nothing for good: every write begins with a
compare-and-set on the partition's offset, so a second worker, a pause or a crash at any point can
neither lose an event nor write one twice.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress

from turnlog_projector.batch import Archived, Batch, LostPartition, Offset, Parked
from turnlog_projector.database import Database, scalar
from turnlog_projector.log import IndexEntry, LogReader, SessionKey, StoredEvent
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.repeats import find_repeats
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import columns
from turnlog_projector.work import SessionWork
from turnlog_schemas.codec import RecordedEvent, decode
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.fold import needs
from turnlog_schemas.rows import Session

MAX_BATCH_EVENTS = 2000
MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_CACHED_SESSIONS = 20_000

logger = logging.getLogger(__name__)


class AnchorLost(Exception):
    """The index does not hold the entry that the partition was projected up to: audit it."""

    def __init__(self, partition: int) -> None:
        super().__init__(f"partition {partition}: the index lost the anchor")
        self.partition = partition


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

    @property
    def generation(self) -> int:
        """The generation that is read and written, as of the last `reload`."""
        return self.models.generation

    def reload(self, partitions: Iterable[int]) -> None:
        """Forget what is cached; read the active generation and the offsets of the partitions."""
        self._sessions.clear()
        self.settled.clear()
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
        plans, more = self._plan(partitions)
        if not plans:
            return 0, more
        settled = self.settled & {e.key(p) for p, entries in plans.items() for e in entries}
        for key in settled:
            # What these entries tell is in the stream by now, so this projects all of it; where it
            # is still broken, the session has just been parked for that.
            with suppress(StreamBroken):
                while self.catch_up(key):
                    pass
        batch = Batch(self.generation)
        ends: dict[SessionKey, IndexEntry] = {}
        for partition, entries in plans.items():
            for entry in entries:
                key = entry.key(partition)
                if key not in settled and (key not in ends or entry.end >= ends[key].end):
                    ends[key] = entry
        self.load(ends)
        self._check_chains(plans, settled)
        wanted = [
            (key, self.archived(key).seq + 1, entry.end)
            for key, entry in ends.items()
            if entry.end > self.archived(key).seq
        ]
        for (key, first, last), tail in zip(wanted, self.log.tails(wanted), strict=True):
            self._check_tail(key, first, last, ends[key], tail.events)
            repeats = find_repeats(self.connection, key, tail)
            self.add(batch, key, tail.events, repeats)
        events = len(batch.archive)
        pos = {p: self.offsets[p].pos for p in plans}
        for row in batch.archive:
            pos[row[0]] += 1
        for partition, entries in plans.items():
            old, last = self.offsets[partition], entries[-1]
            new = Offset(last.n, last.session, last.last, old.epoch, pos[partition])
            batch.moves[partition] = (old, new)
        self.commit(batch)
        self.settled -= settled
        return events, more

    def catch_up(self, key: SessionKey, *, count: int = MAX_BATCH_EVENTS) -> int:
        """Project what the stream of one session holds beyond the archive, whatever the index says;
        returns how many events that were. At most `count`: call again until it is 0."""
        self.load([key])
        first = self.archived(key).seq + 1
        [tail] = self.log.tails([(key, first, first + count - 1)])
        if not tail.events:
            return 0
        self._check_tail(key, first, tail.events[-1].seq, None, tail.events)
        events = _within(tail.events, MAX_BATCH_BYTES)
        batch = Batch(self.generation)
        self.add(batch, key, events, find_repeats(self.connection, key, tail))
        old = self.offsets[key.partition]
        batch.moves[key.partition] = (
            old,
            old._replace(epoch=old.epoch + 1, pos=old.pos + len(batch.archive)),
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

    def add(
        self,
        batch: Batch,
        key: SessionKey,
        events: list[StoredEvent],
        repeats: dict[int, int],
    ) -> None:
        """Archive events of one session, the next after what is archived, and fold them unless the
        session is parked. `repeats` maps the seq of a repeat to that of the first event."""
        archived, session = self._sessions[key]
        pos = self.offsets[key.partition].pos + sum(
            1 for row in batch.archive if row[0] == key.partition
        )
        work = SessionWork(key, session, self.models if archived.seq else None)
        parked_seq = archived.parked_seq
        decoded: list[RecordedEvent] = []
        for event in events:
            pos += 1
            batch.add_event(key, pos, event, repeats.get(event.seq))
            if parked_seq is not None:
                continue
            try:
                decoded.append(decode_stored(key, event, repeats.get(event.seq)))
            except InvalidEvent as error:
                parked_seq = event.seq
                batch.parked.append(Parked(key, event.seq, event.event_id, str(error)))
        parked = fold_all(self.models, work, decoded)
        if parked is not None:
            parked_seq = parked.seq
            batch.parked = [p for p in batch.parked if p.key != key]
            batch.parked.append(parked)
        last = events[-1]
        batch.heads[key] = Archived(last.seq, last.event_id, last.recorded_at, parked_seq)
        batch.works[key] = work

    def commit(self, batch: Batch) -> None:
        """Write the batch and remember what it made. On `LostPartition` forget what is cached."""
        try:
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
        for parked in batch.parked:
            logger.warning(
                "parked session %s at seq %d: %s", parked.key.field, parked.seq, parked.error
            )
        while len(self._sessions) > MAX_CACHED_SESSIONS:
            self._sessions.popitem(last=False)

    def forget(self, key: SessionKey) -> None:
        """Drop what is cached of a session."""
        self._sessions.pop(key, None)

    def _plan(self, partitions: Sequence[int]) -> tuple[dict[int, list[IndexEntry]], set[int]]:
        """Which index entries the batch takes from each partition, and which have more."""
        count = max(MAX_BATCH_EVENTS // max(len(partitions), 1), 50)
        wanted = [(p, self.offsets[p].n) for p in partitions]
        plans: dict[int, list[IndexEntry]] = {}
        more: set[int] = set()
        events = size = 0
        for (partition, n), entries in zip(
            wanted, self.log.index_from(wanted, count + 1), strict=True
        ):
            fresh = self._after_anchor(partition, n, entries)
            taken: list[IndexEntry] = []
            for entry in fresh:
                if events and (events + entry.events > MAX_BATCH_EVENTS or size > MAX_BATCH_BYTES):
                    break
                taken.append(entry)
                events += entry.events
                size += entry.size
            if taken:
                plans[partition] = taken
            if len(taken) < len(fresh) or len(entries) > count:
                more.add(partition)
        return plans, more

    def _after_anchor(self, partition: int, n: int, entries: list[IndexEntry]) -> list[IndexEntry]:
        if n == 0:
            if entries and entries[0].n != 1:
                raise AnchorLost(partition)
            return entries
        offset = self.offsets[partition]
        if (
            not entries
            or entries[0].n != n
            or entries[0].session != offset.session
            or entries[0].last != offset.event_id
        ):
            raise AnchorLost(partition)
        return entries[1:]

    def _check_chains(self, plans: dict[int, list[IndexEntry]], settled: set[SessionKey]) -> None:
        """Each entry must go on from where its session is archived, or from the entry before it;
        one that tells of what is archived already must tell the same."""
        reached: dict[SessionKey, tuple[int, str]] = {}
        told: list[tuple[SessionKey, IndexEntry]] = []
        for partition, entries in plans.items():
            for entry in entries:
                key = entry.key(partition)
                if key in settled:
                    continue
                archived = self.archived(key)
                seq, event_id = reached.get(key, (archived.seq, archived.event_id))
                if entry.first == seq + 1 and entry.prev != event_id:
                    raise StreamBroken(key, f"its history before seq {entry.first} is another one")
                if entry.first > seq + 1:
                    raise StreamBroken(key, f"the index skips seqs {seq + 1} to {entry.first - 1}")
                if entry.end == seq and entry.last != event_id:
                    raise StreamBroken(key, f"event {seq} is another one")
                if entry.end > seq:
                    reached[key] = (entry.end, entry.last)
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
        self,
        key: SessionKey,
        first: int,
        last: int,
        entry: IndexEntry | None,
        events: list[StoredEvent],
    ) -> None:
        if [event.seq for event in events] != list(range(first, last + 1)):
            raise StreamBroken(key, f"the stream does not hold seqs {first} to {last}")
        if entry is not None and events[-1].event_id != entry.last:
            raise StreamBroken(key, f"event {last} is not the one that the index names")


def decode_stored(key: SessionKey, event: StoredEvent, repeat_of: int | None) -> RecordedEvent:
    """Decode a stream or archive entry. Raises `InvalidEvent`."""
    decoded = decode(
        event.raw,
        tenant=key.tenant,
        session_id=key.session_id,
        seq=event.seq,
        recorded_at=event.recorded_at,
        repeat_of=repeat_of,
    )
    if decoded.event_id != event.event_id:
        raise InvalidEvent("event_id: the entry and the event in it name different ids")
    return decoded


def fold_all(models: ReadModels, work: SessionWork, events: list[RecordedEvent]) -> Parked | None:
    """Fold events into the work; returns the event at which folding had to stop, if any.

    A fault of the fold itself must not stop the other sessions: it parks this one, and folds again
    by `turnlog parked retry` once it is mended.
    """
    named = [id_ for event in events for id_ in needs(event)]
    models.prefetch({work.key: (work, list(dict.fromkeys(work.unknown(tuple(named)))))})
    for event in events:
        try:
            work.fold(event)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            where = error.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            line = where.tb_lineno if where is not None else 0
            reason = f"the fold failed: {type(error).__name__} (line {line})"
            return Parked(work.key, event.seq, event.event_id, reason)
    return None


def _within(events: list[StoredEvent], size: int) -> list[StoredEvent]:
    """The first events that together hold at most `size` bytes, at least one."""
    for index, event in enumerate(events):
        size -= len(event.raw)
        if size < 0:
            return events[: max(index, 1)]
    return events
