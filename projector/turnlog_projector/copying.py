"""Folding all sessions of one partition of the archive from their beginning, and copying their rows
into the tables of a generation that has no indexes yet."""

from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, NamedTuple

from turnlog_projector.archive import decode_archived, skipped_by_session
from turnlog_projector.batch import Parked, changed_rows, copy_lines, copy_rows, new_turns
from turnlog_projector.collecting import collect_less
from turnlog_projector.database import Database, connect_postgres
from turnlog_projector.folding import decode_stored, fold_all
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import Row, session_row
from turnlog_projector.work import SessionWork
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.errors import InvalidEvent

_FLUSH_BYTES = 2 * 1024 * 1024
_FETCH_EVENTS = 500
NO_SKIPS: frozenset[int] = frozenset()

_kept: dict[str, tuple[Database, Database]] | None = None


class CopiedPartition(NamedTuple):
    """What `copy_partition` did."""

    events: int
    parked: dict[SessionKey, Parked]


def copy_partition(
    url: str, generation: int, partition: int, pos: int, left_out: list[SessionKey]
) -> CopiedPartition:
    """Fold the sessions of a partition, up to a place in the archive, and copy their rows in."""
    with _connections(url) as (reader, writer):
        copier = _Copier(writer, generation)
        skips = skipped_by_session(reader, partition)
        parked: dict[SessionKey, Parked] = {}
        models = ReadModels(writer, generation)
        with reader.transaction(), reader.cursor(name="archive", binary=True) as cursor:
            cursor.execute(
                statement("archived_partition"),
                {
                    "partition": partition,
                    "pos": pos,
                    "tenants": [key.tenant for key in left_out],
                    "sessions": [key.session_id for key in left_out],
                },
            )
            rows = chain.from_iterable(iter(partial(cursor.fetchmany, _FETCH_EVENTS), []))
            for (tenant, session_id), events in groupby(rows, itemgetter(0, 1)):
                key = SessionKey(partition, tenant, session_id)
                work = SessionWork(key, None, None)
                decoded = decode_rows(key, (row[2:] for row in events), skips.get(key, NO_SKIPS))
                if decoded.stopped is not None:
                    parked[key] = decoded.stopped
                for stopped in fold_all(models, [(work, decoded.events)]):
                    parked[key] = stopped
                copier.add(work, decoded)
        copier.flush()
    return CopiedPartition(copier.events, parked)


def start_process() -> None:
    """For a process that copies partitions and then ends: it keeps its connections for the next."""
    global _kept
    _kept = {}
    collect_less()


@contextmanager
def _connections(url: str) -> Generator[tuple[Database, Database]]:
    """One to read by, one to write by."""
    with ExitStack() as stack:
        if _kept is not None and url in _kept:
            yield _kept[url]
            return
        reader = connect_postgres(url, application_name="turnlog replay")
        stack.push(reader)
        writer = connect_postgres(url, application_name="turnlog replay")
        stack.push(writer)
        writer.execute("SET synchronous_commit = off")
        if _kept is not None:
            _kept[url] = reader, writer
            stack.pop_all()
        yield reader, writer


class DecodedRows(NamedTuple):
    """Rows of the archive, decoded as far as possible."""

    events: list[RecordedEvent]
    stopped: Parked | None
    rows: int
    size: int
    """Bytes of all of them."""


class _Copier:
    """Collects the rows of folded sessions and copies them in, table by table. Turns, most of it,
    are kept as the lines that are copied."""

    def __init__(self, connection: Database, generation: int) -> None:
        self.events = 0
        self._connection = connection
        self._generation = generation
        self._turns: list[bytes] = []
        self._rows: dict[str, list[Row]] = {}
        self._size = 0

    def add(self, work: SessionWork, decoded: DecodedRows) -> None:
        self.events += decoded.rows
        self._turns.append(new_turns(work))
        if work.session is not None:
            self._rows.setdefault("sessions", []).append(session_row(work.session))
        for table, rows in changed_rows([work], new_turns=False).items():
            if rows:
                self._rows.setdefault(table, []).extend(rows)
        self._size += decoded.size
        if self._size >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        with self._connection.cursor() as cursor:
            copy = statement("copy_turns", generation=self._generation)
            copy_lines(cursor, copy, self._turns)
            for table, rows in self._rows.items():
                copy_rows(cursor, statement(f"copy_{table}", generation=self._generation), rows)
        self._turns = []
        self._rows = {}
        self._size = 0


def decode_rows(key: SessionKey, rows: Iterable[Any], skipped: frozenset[int]) -> DecodedRows:
    """Decode archive rows (seq, event_id, recorded_at, bytes, repeat_of) of one session, up to the
    first that cannot be decoded."""
    events: list[RecordedEvent] = []
    stopped: Parked | None = None
    count = size = 0
    for row in rows:
        count += 1
        size += len(row[3])
        if stopped is not None:
            continue
        stored = StoredEvent(row[0], row[1], row[2], row[3])
        try:
            if skipped:
                events.append(decode_archived(key, stored, row[4], skipped))
            else:
                events.append(decode_stored(key, stored, row[4]))
        except InvalidEvent as error:
            stopped = Parked(key, stored.seq, stored.event_id, str(error))
    return DecodedRows(events, stopped, count, size)
