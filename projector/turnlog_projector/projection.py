"""The projection of partitions: from the index, through the streams, into one transaction.

A `Projection` belongs to one worker. It owns nothing for good: every write begins with a
compare-and-set on the partition's offset, so a second worker, a pause or a crash at any point can
neither lose an event nor write one twice.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

from turnlog_projector.ahead import Readings
from turnlog_projector.batch import Archived, Batch, LostPartition, Offset, Parked
from turnlog_projector.caching import Known, SessionCache
from turnlog_projector.chains import StreamBroken as StreamBroken
from turnlog_projector.chains import check_chains, check_tail
from turnlog_projector.database import Database, scalar
from turnlog_projector.folding import (
    Decoded,
    fold_prefetched,
    prefetch,
    prefetch_some,
)
from turnlog_projector.log import IndexEntry, LogReader, SessionKey, Tail
from turnlog_projector.masses import Masses
from turnlog_projector.preparing import Preparer, Ready
from turnlog_projector.reading import AnchorLost as AnchorLost
from turnlog_projector.reading import Limits, Reading, SessionReading
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.refusals import Refused
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tracing import note_projected
from turnlog_projector.work import SessionWork
from turnlog_schemas.rows import Session

MAX_BATCH_EVENTS = 5000
MAX_BATCH_BYTES = 8 * 1024 * 1024
"""Of events, and of the turns before them that they name. A batch may exceed it by one index entry,
a piece of a session by one event."""
_PIECE_EVENTS = 500

logger = logging.getLogger(__name__)


class Projection:
    """Projects partitions over one connection to each server."""

    def __init__(self, log: LogReader, connection: Database, masses: Masses | None = None) -> None:
        self.log = log
        self.connection = connection
        self.models = ReadModels(connection, 0)
        self.offsets: dict[int, Offset] = {}
        self.settled: set[SessionKey] = set()
        """Sessions just put right: for what the index says of them, the stream is the truth."""
        self.erased: set[int] = set()
        """Partitions in which something was erased that Redis may still hold."""
        self.trim_after: timedelta | None = None
        """A session that is quiet for so long is left cold when it is healed."""
        self._masses = masses
        self._sessions = SessionCache()
        self._prepare = Preparer(connection, self._sessions)
        self._readings = Readings(log, self._cached_seq)
        self._next: list[int] = []
        """Partitions to read ahead from while a large batch is being written."""

    @property
    def generation(self) -> int:
        """The generation that is read and written, as of the last `reload`."""
        return self.models.generation

    def reload(self, partitions: Iterable[int]) -> None:
        """Forget what is cached; read the active generation and the offsets of the partitions."""
        partitions = list(partitions)
        self._sessions.clear()
        self.settled.clear()
        self._readings.clear()
        with self.connection.transaction():
            # Offsets first: a flip raises their epochs as it changes `active`. One in between
            # leaves old epochs here, which fail at the first compare-and-set; the other way round,
            # rows would go into the generation that was left.
            rows = self.connection.execute(statement("load_offsets"), (partitions,))
            self.offsets = {row[0]: Offset(*row[1:]) for row in rows}
            generation = scalar(self.connection, "SELECT generation FROM turnlog.active")
            self.models = ReadModels(self.connection, generation)
            self._prepare.reload(self.models, partitions)

    def project(self, partitions: Sequence[int]) -> tuple[int, set[int]]:
        """Project one batch; returns how many events it held, and the partitions with more to do.

        Raises `AnchorLost` or `StreamBroken` (nothing written) for what an audit or a healing must
        put right first, and `LostPartition` when another worker was quicker.
        """
        reading, more = self._readings.take(partitions, self.offsets, self._limits())
        if not reading.ends:
            return 0, more
        try:
            return self._project(reading, more), more
        finally:
            self._sessions.trim()

    def _limits(self) -> Limits:
        return Limits(MAX_BATCH_EVENTS, MAX_BATCH_BYTES)

    def _cached_seq(self, key: SessionKey) -> int:
        known = self._sessions.get(key)
        return known.archived.seq if known is not None else 0

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
        check_chains(self.connection, {k: (self.archived(k), s) for k, s in sessions.items()})
        told = sum(entry.events for s in reading.sessions.values() for entry in s.entries)
        self._project_in_pieces(sessions, [k for k, s in sessions.items() if self._is_large(k, s)])
        self._write(sessions, reading.ends, self._readings.turn(sorted(more)))
        self.settled -= settled
        return told

    def _write(
        self,
        sessions: dict[SessionKey, SessionReading],
        ends: Mapping[int, IndexEntry],
        ahead: list[int],
    ) -> None:
        """Project sessions in one transaction and move partitions to the index entries given; read
        ahead from other partitions meanwhile."""
        ready = self._prepare.of_readings(sessions)
        left_out = prefetch(self.models, [each.to_fold for each in ready], size=MAX_BATCH_BYTES)
        self._project_in_pieces(sessions, left_out)
        batch = Batch(self.generation)
        self._add(batch, [each for each in ready if each.key not in left_out])
        for partition, end in ends.items():
            old = self.offsets[partition]
            pos = batch.positions.get(partition, old.pos)
            batch.moves[partition] = (old, Offset(end.n, end.session, end.last, old.epoch, pos))
        self._bump_epochs(batch)
        self._next = ahead
        try:
            self._commit_folded(batch)
        except Refused:
            if not sessions:
                raise
            self._narrow(sessions)
            if ends:
                self._write({}, ends, [])
        finally:
            self._next = []

    def _narrow(self, sessions: dict[SessionKey, SessionReading]) -> None:
        """Postgres refuses rows of these sessions: halve them, until the one is found and parked
        and all others are projected."""
        keys = list(sessions)
        if len(keys) == 1:
            self._project_in_pieces(sessions, keys)
            return
        half = len(keys) // 2
        for some in (keys[:half], keys[half:]):
            self._write({key: sessions[key] for key in some}, {}, [])

    def _bump_epochs(self, batch: Batch) -> None:
        """Of partitions that the batch writes to without moving them in their index."""
        for partition, pos in batch.positions.items():
            if partition not in batch.moves:
                old = self.offsets[partition]
                batch.moves[partition] = (old, old._replace(epoch=old.epoch + 1, pos=pos))

    def _is_large(self, key: SessionKey, session: SessionReading) -> bool:
        known = self._sessions[key]
        return session.tail is None or (known.left_out and known.archived.parked_seq is None)

    def _project_in_pieces(
        self, sessions: dict[SessionKey, SessionReading], keys: Iterable[SessionKey]
    ) -> None:
        """Project sessions of a reading each by itself, and take them out of it."""
        for key in keys:
            upto = sessions.pop(key).newest.end
            while self.archived(key).seq < upto:
                if not self.catch_up(key):
                    seq = self.archived(key).seq
                    raise StreamBroken(key, f"the stream does not hold seqs {seq + 1} to {upto}")
            self._sessions.drop(key)

    def catch_up(self, key: SessionKey) -> int:
        """Project what the stream of one session holds beyond the archive, whatever the index says;
        returns how many events that were. At most a piece: call again until it is 0."""
        self.load([key])
        first = self.archived(key).seq + 1
        tail = self.log.next_events(key, first, count=_PIECE_EVENTS, size=MAX_BATCH_BYTES)
        if not tail.events:
            return 0
        check_tail(key, first, tail.events[-1].seq, None, tail.events)
        return self.take(key, tail)

    def take(self, key: SessionKey, tail: Tail) -> int:
        """Project the next events of a session that is loaded by itself, as many of them as fit
        into a piece; returns how many that were."""
        ready = self._prepare.of_tail(key, tail)
        events = ready.decoded.events
        fit = prefetch_some(self.models, ready.work, events, size=MAX_BATCH_BYTES)
        if fit < len(events):
            ready = ready._replace(events=ready.events[:fit], decoded=Decoded(events[:fit], None))
        try:
            self._take(ready)
        except Refused as error:
            if len(ready.events) > 1:
                return self.take(key, tail._replace(events=ready.events[: len(ready.events) // 2]))
            [event] = ready.events
            stopped = Parked(key, event.seq, event.event_id, str(error))
            work = SessionWork(key, ready.work.session, None)
            self._take(ready._replace(decoded=Decoded([], stopped), work=work))
        return len(ready.events)

    def _take(self, ready: Ready) -> None:
        batch = Batch(self.generation)
        self._add(batch, [ready])
        self._bump_epochs(batch)
        self._commit_folded(batch)

    def _commit_folded(self, batch: Batch) -> None:
        """Raises `MassParking`, with nothing written, when too much of it would be parked."""
        if self._masses is None:
            self.commit(batch)
            return
        folded = [key for key, w in batch.works.items() if w.dirty or key in batch.parked]
        self._masses.check(self.connection, folded, batch.parked)
        self.commit(batch)
        self._masses.note(self.connection, folded, batch.parked)

    def load(self, keys: Iterable[SessionKey]) -> None:
        """Make sure that `archived` and the session rows of these keys are at hand; of several,
        large rows are left out."""
        self._sessions.load(self.models, list(keys), size=MAX_BATCH_BYTES)

    def archived(self, key: SessionKey) -> Archived:
        """How far a loaded session is archived."""
        return self._sessions[key].archived

    def session(self, key: SessionKey) -> Session | None:
        """The row of a session that was loaded by itself."""
        return self._sessions[key].session

    def _add(self, batch: Batch, ready: Sequence[Ready]) -> None:
        """Archive the next events of sessions and fold them; of a parked session nothing is to
        fold."""
        left: list[Ready] = []
        for each in ready:
            without, erasure = self._prepare.without_erased(each)
            left.append(without)
            if erasure is not None:
                batch.rewrites.append(erasure)
        for key, events, decoded, repeats, work in left:
            reached = batch.positions.get(key.partition, self.offsets[key.partition].pos)
            for pos, event in enumerate(events, reached + 1):
                batch.add_event(key, pos, event, repeats.get(event.seq))
            batch.positions[key.partition] = reached + len(events)
            parked_seq = self.archived(key).parked_seq
            if decoded.stopped is not None:
                parked_seq = decoded.stopped.seq
                batch.parked[key] = decoded.stopped
            last = events[-1]
            batch.heads[key] = Archived(last.seq, last.event_id, last.recorded_at, parked_seq)
            batch.works[key] = work
        for parked in fold_prefetched(each.to_fold for each in left):
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
        note_projected(batch.archive)
        for partition, (_, new) in batch.moves.items():
            self.offsets[partition] = new
        for key, archived in batch.heads.items():
            work, known = batch.works.get(key), self._sessions[key]
            if work is not None and work.dirty:
                known = Known(archived, work.session)
            self._sessions.put(key, known._replace(archived=archived))
        for parked in batch.parked.values():
            logger.warning(
                "parked session %s at seq %d: %s", parked.key.field, parked.seq, parked.error
            )
        refolded = [rewrite.key for rewrite in batch.rewrites if rewrite.refolds]
        for key in refolded:
            self._sessions.drop(key)
        self.load(refolded)
        self.erased |= {rewrite.key.partition for rewrite in batch.rewrites}

    def forget(self, key: SessionKey) -> None:
        """Drop what is cached of a session, and what was read ahead."""
        self._sessions.drop(key)
        self._sessions.trim()
        self._readings.drop_ahead()

    def _read_ahead(self, batch: Batch) -> None:
        """Read on from where the batch will leave the partitions."""
        offsets = {**self.offsets, **{p: new for p, (_, new) in batch.moves.items()}}
        self._readings.read_ahead({p: offsets[p] for p in self._next}, self._limits())
