"""Folding all sessions of one partition of the archive from their beginning, and copying their rows
into the tables of a generation that has no indexes yet."""

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, NamedTuple

from turnlog_projector.archive import (
    FETCH_EVENTS,
    LARGE_EVENT_BYTES,
    decode_archived,
    large_event,
    skipped_by_session,
)
from turnlog_projector.batch import Parked, copy_lines, event_hash
from turnlog_projector.crew import Kept
from turnlog_projector.database import Database, connect_postgres
from turnlog_projector.digest import added, session_digest
from turnlog_projector.folding import decode_stored, fold_all
from turnlog_projector.lines import TABLES, Lines, session_lines
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.refusals import refusal
from turnlog_projector.sqlfiles import statement
from turnlog_projector.work import SessionWork
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.errors import InvalidEvent, TurnlogError

LARGE_SESSION_EVENTS = 5000
"""A session of more events is folded in chunks against the tables, not in memory."""
LARGE_SESSION_BYTES = 32 * 1024 * 1024
"""So is one of more bytes."""

_FLUSH_BYTES = 2 * 1024 * 1024
NO_SKIPS: frozenset[int] = frozenset()


class ArchiveDamaged(TurnlogError):
    """The bytes of an archived event are not those that its hash was made of."""


class Copied(NamedTuple):
    """What was done since the last one."""

    sessions: int
    events: int
    digest: int
    """Of the sessions copied."""
    parked: dict[SessionKey, Parked]
    large: list[SessionKey]
    """Sessions left out: too many bytes for memory, or Postgres refused a row of their chunk."""


def copy_partition(
    kept: Kept,
    url: str,
    generation: int,
    partition: int,
    pos: int,
    until: int | None,
    left_out: Collection[SessionKey],
) -> Iterator[Copied]:
    """Fold the sessions of a partition, up to a place in the archive and, if given, up to a time
    (`recorded_at`), and copy their rows in. Raises `ArchiveDamaged`."""
    reader = kept.get("reader", partial(connect_postgres, url, application_name="turnlog replay"))
    copier = _Copier(kept.get("writer", partial(_writer, url)), generation)
    skips = skipped_by_session(reader, partition)
    models = ReadModels(reader, generation)  # asked for nothing: every session begins here
    with reader.transaction(), reader.cursor(name="archive", binary=True) as cursor:
        cursor.execute(
            statement("archived_partition"),
            {
                "partition": partition,
                "pos": pos,
                "until": until,
                "large": LARGE_EVENT_BYTES,
                "tenants": [key.tenant for key in left_out],
                "sessions": [key.session_id for key in left_out],
            },
        )
        rows = chain.from_iterable(iter(partial(cursor.fetchmany, FETCH_EVENTS), []))
        for (tenant, session_id), events in groupby(rows, itemgetter(0, 1)):
            key = SessionKey(partition, tenant, session_id)
            work = SessionWork(key, None, None)
            whole = _with_bytes(reader, key, events)
            decoded = decode_rows(key, whole, skips.get(key, NO_SKIPS))
            if decoded is None:
                copier.large.append(key)
                continue
            if decoded.stopped is not None:
                copier.parked[key] = decoded.stopped
            for stopped in fold_all(models, [(work, decoded.events)]):
                copier.parked[key] = stopped
            if copier.add(work, decoded):
                yield copier.flush()
    yield copier.flush()


def _with_bytes(reader: Database, key: SessionKey, rows: Iterable[Any]) -> Iterator[Any]:
    """Rows of a session, those of large events with their bytes, too; and with their hash, for they
    may have been erased since the cursor was opened."""
    for row in rows:
        if row[5] is None:
            raw, hashed = large_event(reader, key, row[2])
            row = (*row[:5], raw, row[6], hashed)
        yield row


def _writer(url: str) -> Database:
    connection = connect_postgres(url, application_name="turnlog replay")
    connection.execute("SET synchronous_commit = off")
    return connection


class DecodedRows(NamedTuple):
    """Rows of the archive, decoded as far as possible."""

    events: list[RecordedEvent]
    stopped: Parked | None
    rows: int
    size: int
    """Bytes of all of them."""


class _Copier:
    """Collects the rows of folded sessions as lines, and copies them in."""

    def __init__(self, connection: Database, generation: int) -> None:
        self._connection = connection
        self._generation = generation
        self.parked: dict[SessionKey, Parked] = {}
        self.large: list[SessionKey] = []
        self._begin()

    def _begin(self) -> None:
        self._lines: dict[str, list[bytes]] = {table: [] for table in TABLES}
        self._keys: list[SessionKey] = []
        self._size = self._sessions = self._events = self._digest = 0

    def add(self, work: SessionWork, decoded: DecodedRows) -> bool:
        """Whether there is enough now to be copied."""
        lines: Lines = session_lines(work.session, work.changed)
        for table, some in lines.items():
            if some:
                self._lines[table].append(some)
        self._digest = added(self._digest, session_digest(lines))
        self._keys.append(work.key)
        self._sessions += 1
        self._events += decoded.rows
        self._size += decoded.size
        return self._size >= _FLUSH_BYTES

    def flush(self) -> Copied:
        try:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                for table, lines in self._lines.items():
                    if lines:
                        query = statement(f"copy_{table}", generation=self._generation)
                        copy_lines(cursor, query, lines)
        except Exception as error:
            if refusal(error) is None:
                raise
            # One of them has a row that Postgres will never take: folded one by one, it parks.
            self.large += self._keys
            self.parked = {key: p for key, p in self.parked.items() if key not in self._keys}
            self._begin()
        done = Copied(self._sessions, self._events, self._digest, self.parked, self.large)
        self.parked, self.large = {}, []
        self._begin()
        return done


def decode_rows(
    key: SessionKey, rows: Iterable[Any], skipped: frozenset[int]
) -> DecodedRows | None:
    """Decode archive rows (tenant, session_id, seq, event_id, recorded_at, bytes, repeat_of, hash)
    of one session, up to the first that cannot be decoded; None when they are too many for memory.
    Raises `ArchiveDamaged`."""
    events: list[RecordedEvent] = []
    stopped: Parked | None = None
    count = size = 0
    for _, _, seq, event_id, recorded_at, raw, repeat_of, hashed in rows:
        count += 1
        size += len(raw)
        if count > LARGE_SESSION_EVENTS or size > LARGE_SESSION_BYTES:
            return None
        if event_hash(raw) != hashed:
            raise _damaged(key, seq)
        if stopped is not None:
            continue
        stored = StoredEvent(seq, event_id, recorded_at, raw)
        try:
            if skipped:
                events.append(decode_archived(key, stored, repeat_of, skipped))
            else:
                events.append(decode_stored(key, stored, repeat_of))
        except InvalidEvent as error:
            stopped = Parked(key, stored.seq, stored.event_id, str(error))
    return DecodedRows(events, stopped, count, size)


def _damaged(key: SessionKey, seq: int) -> ArchiveDamaged:
    return ArchiveDamaged(
        f"the archive was changed: event {seq} of session {key.field} is not what its hash was "
        f"made of; see `turnlog verify --session {key.session_id} --tenant {key.tenant}`"
    )
