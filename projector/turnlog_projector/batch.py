"""What one transaction writes: moved offsets first, then archive, heads, read models."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import LiteralString, NamedTuple, Protocol

import psycopg
from psycopg import Cursor
from psycopg.rows import TupleRow

from turnlog_projector.database import Database
from turnlog_projector.lines import turn_lines
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.refusals import refusal
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import ROW_OF, Row, columns, session_row
from turnlog_projector.work import SessionWork

LARGE_BATCH_EVENTS = 500
_ARCHIVE_TYPES = ("int4", "int8", "text", "text", "int8", "text", "int8", "int8", "bytea", "bytea")


class Offset(NamedTuple):
    """How far a partition is projected: anchor (n, session, event_id), epoch, archived events."""

    n: int
    session: str
    event_id: str
    epoch: int
    pos: int


class Archived(NamedTuple):
    """How far a session is archived; `parked_seq` is its first event that is not folded."""

    seq: int
    event_id: str
    recorded_at: int
    parked_seq: int | None


class Parked(NamedTuple):
    """An event that could not be folded, and why."""

    key: SessionKey
    seq: int
    event_id: str
    error: str
    refused: bool = False
    """Whether it folds, but Postgres does not take its rows."""


Place = tuple[SessionKey, int, StoredEvent, int | None]
"""An event and its place in the archive of its partition; the seq that it repeats, if any."""


class Rewrite(Protocol):
    """What a batch rewrites of a session that is stored already: an erasure, a retry."""

    key: SessionKey

    @property
    def refolds(self) -> bool:
        """Whether it folds the session afresh: what is cached of it is stale then."""
        ...

    def write(self, connection: Database, generation: int) -> None:
        """Do it, in the transaction of the batch. It cannot be done in a pipeline."""
        ...


class LostPartition(Exception):
    """The compare-and-set failed: another worker has moved the offset, or a replay has flipped."""


@dataclass
class Batch:
    """Collects what a number of events change. Nothing is written before `commit`."""

    generation: int
    moves: dict[int, tuple[Offset, Offset]] = field(
        default_factory=dict[int, tuple[Offset, Offset]]
    )
    archive: list[Place] = field(default_factory=list["Place"])
    heads: dict[SessionKey, Archived] = field(default_factory=dict[SessionKey, Archived])
    positions: dict[int, int] = field(default_factory=dict[int, int])
    """The place in the archive that each partition has reached."""
    parked: dict[SessionKey, Parked] = field(default_factory=dict[SessionKey, Parked])
    skipped: list[tuple[SessionKey, int]] = field(default_factory=list[tuple[SessionKey, int]])
    """Events that parked their session and are void from now on."""
    works: dict[SessionKey, SessionWork] = field(default_factory=dict[SessionKey, SessionWork])
    rewrites: list[Rewrite] = field(default_factory=list[Rewrite])

    def add_event(
        self, key: SessionKey, pos: int, event: StoredEvent, repeat_of: int | None
    ) -> None:
        """Archive an event at place `pos` of its partition."""
        self.archive.append((key, pos, event, repeat_of))

    def commit(self, connection: Database) -> None:
        """Write everything in one transaction, or nothing.

        Raises `LostPartition` when an offset is not what it was: drop the batch and what is cached;
        and `Refused` when Postgres will never take these rows.
        """
        try:
            if self.large:
                with connection.transaction(), connection.cursor() as cursor:
                    self._write_large(cursor)
                    for rewrite in self.rewrites:
                        rewrite.write(connection, self.generation)
            else:
                # The pipeline around the transaction, so that BEGIN costs no round trip.
                with connection.pipeline(), connection.transaction():
                    self._write_small(connection)
        except Exception as error:
            unique = isinstance(error, psycopg.errors.UniqueViolation)
            if unique and error.diag.table_name == "archive":
                constraint = error.diag.constraint_name
                raise LostPartition(f"archived by another worker: {constraint}") from None
            if (refused := refusal(error)) is not None:
                raise refused from None
            raise

    @property
    def large(self) -> bool:
        """Whether it is written by COPY, which costs half, but some round trips more."""
        return len(self.archive) >= LARGE_BATCH_EVENTS or bool(self.rewrites)

    def _write_large(self, cursor: Cursor[TupleRow]) -> None:
        self._move_offsets(cursor)
        self._check_moved(cursor)
        copy_rows(cursor, statement("copy_archive"), self._archive_rows(), _ARCHIVE_TYPES)
        self._write(cursor)

    def _write_small(self, connection: Database) -> None:
        with connection.cursor() as cursor, connection.cursor() as writer:
            self._move_offsets(cursor)
            if self.archive:
                rows = columns(list(self._archive_rows()), 10)
                writer.execute(statement("put_archive"), rows)
            self._write(writer)
            self._check_moved(cursor)

    def _archive_rows(self) -> Iterator[Row]:
        for key, pos, event, repeat_of in self.archive:
            yield (
                key.partition,
                pos,
                key.tenant,
                key.session_id,
                event.seq,
                event.event_id,
                event.recorded_at,
                repeat_of,
                event_hash(event.raw),
                event.raw,
            )

    def _move_offsets(self, cursor: Cursor[TupleRow]) -> None:
        rows: list[Row] = [
            (p, old.n, old.epoch, new.n, new.session, new.event_id, new.epoch, new.pos)
            for p, (old, new) in self.moves.items()
        ]
        cursor.execute(statement("move_offsets"), columns(rows, 8))

    def _check_moved(self, cursor: Cursor[TupleRow]) -> None:
        lost = sorted(self.moves.keys() - {row[0] for row in cursor.fetchall()})
        if lost:
            raise LostPartition(f"partitions {lost} were moved by another worker")

    def _write(self, cursor: Cursor[TupleRow]) -> None:
        heads: list[Row] = [(*key, *archived) for key, archived in self.heads.items()]
        if heads:
            cursor.execute(statement("put_heads"), columns(heads, 7))
        parked: list[Row] = [
            (p.key.tenant, p.key.session_id, p.seq, p.event_id, p.key.partition, p.error)
            for p in self.parked.values()
        ]
        if parked:
            cursor.execute(statement("put_parked"), columns(parked, 6))
        for key, seq in self.skipped:
            cursor.execute(statement("skip_parked"), (key.tenant, key.session_id, seq))
        write_rows(cursor, self.generation, list(self.works.values()), large=self.large)


def write_rows(
    cursor: Cursor[TupleRow], generation: int, works: list[SessionWork], *, large: bool
) -> None:
    """Put the changed rows of sessions into the read models of a generation. With `large` turns
    that are new there are copied in; a pipeline cannot do that."""
    _remove(cursor, generation, works)
    sessions = [session_row(w.session) for w in works if w.dirty and w.session is not None]
    if sessions:
        put = statement("put_sessions", generation=generation)
        cursor.execute(put, columns(sessions, len(sessions[0])))
    if large:
        copy_lines(cursor, statement("copy_turns", generation=generation), map(new_turns, works))
    for table, rows in changed_rows(works, new_turns=not large).items():
        if rows:
            cursor.execute(
                statement(f"put_{table}", generation=generation), columns(rows, len(rows[0]))
            )


def copy_rows(
    cursor: Cursor[TupleRow], query: LiteralString, rows: Iterable[Row], types: Sequence[str] = ()
) -> None:
    """COPY rows in; the types of the columns are given where the query takes binary values. Rows
    that are made as they are asked for are made while the server takes in those before."""
    with cursor.copy(query) as stream:
        if types:
            stream.set_types(types)
        for row in rows:
            stream.write_row(row)


def copy_lines(cursor: Cursor[TupleRow], query: LiteralString, lines: Iterable[bytes]) -> None:
    """COPY rows in that are in its text format already."""
    with cursor.copy(query) as stream:
        for some in lines:
            stream.write(some)


def new_turns(work: SessionWork) -> bytes:
    """The turns of a session that the read models do not hold yet, in COPY's text format."""
    turns = work.changed.turns.values()
    new = (turn for turn in turns if turn["seq"] > work.stored_seq)
    return turn_lines(work.key.tenant, work.key.session_id, new if work.stored_seq else turns)


def changed_rows(works: list[SessionWork], *, new_turns: bool) -> dict[str, list[Row]]:
    """The changed rows of all sessions, by read model; with or without turns that are new there."""
    rows: dict[str, list[Row]] = {table: [] for table in ROW_OF}
    for work in works:
        tenant, session_id, changed = work.key.tenant, work.key.session_id, work.changed
        for table, values in (
            ("turns", changed.turns if new_turns else work.changed_turns()),
            ("branches", changed.branches),
            ("titles", changed.titles),
            ("turn_revisions", changed.revisions),
            ("annotations", changed.annotations),
        ):
            if values:
                make = ROW_OF[table]
                rows[table].extend(make(tenant, session_id, value) for value in values.values())
    return rows


def _remove(cursor: Cursor[TupleRow], generation: int, works: list[SessionWork]) -> None:
    for work in works:
        where = {"tenant": work.key.tenant, "session_id": work.key.session_id}
        if work.erased_session:
            for table in ROW_OF:
                cursor.execute(statement(f"remove_{table}", generation=generation), where)
            continue
        for turn_id in work.erased_turns:
            for table in ("titles", "turn_revisions", "annotations"):
                remove = statement(f"remove_{table}_of_turn", generation=generation)
                cursor.execute(remove, {**where, "turn_id": turn_id})
        for turn_id, seq in work.removed_annotations:
            remove = statement("remove_annotation", generation=generation)
            cursor.execute(remove, {**where, "turn_id": turn_id, "seq": seq})


def event_hash(raw: bytes) -> bytes:
    """BLAKE2b with 16 bytes: tells a changed byte in the archive."""
    return blake2b(raw, digest_size=16).digest()
