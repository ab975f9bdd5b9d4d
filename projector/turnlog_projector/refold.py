"""Folding one session afresh in one generation, from the archive, within the caller's transaction.

For whatever changes what a session's log says after it was folded: an erasure, a skip, a replay of
one session.
"""

from typing import Any

from psycopg.pq import PipelineStatus

from turnlog_projector.archive import decode_archived, skipped_events
from turnlog_projector.batch import Parked, write_rows
from turnlog_projector.database import Database
from turnlog_projector.folding import fold_prefetched, prefetch_some
from turnlog_projector.generations import reaches
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.refusals import refusal
from turnlog_projector.search import make_again
from turnlog_projector.sqlfiles import SCRATCH, statement
from turnlog_projector.tables import ROW_OF
from turnlog_projector.work import SessionWork
from turnlog_projector.young import analyse_filled
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.rows import Session

CHUNK_EVENTS = 2000
CHUNK_BYTES = 8 * 1024 * 1024


def refold_session(
    connection: Database,
    generation: int,
    key: SessionKey,
    *,
    upto_pos: int | None = None,
    upto_seq: int | None = None,
) -> Parked | None:
    """Remove every row of a session in a generation and fold the session again from its first
    archived event, up to a place in the archive or a seq, if given; skipped events stay void.

    The caller has a transaction open, and whatever keeps other writers of that generation away (an
    offset moved, or its row locked). The generation has its indexes. Memory is bounded by a chunk,
    whatever the length of the session. Returns the event at which folding had to stop, if any:
    noting it as parked is left to the caller. What anyone has cached of the session is stale then.
    What is gone cannot be searched any more; the worker makes the rest of it searchable again.
    """
    _remove_rows(connection, generation, key)
    stopped = fold_on(connection, generation, key, None, upto_pos=upto_pos, upto_seq=upto_seq)
    if generation != SCRATCH:
        make_again(connection, generation, key)
    return stopped


def fold_on(
    connection: Database,
    generation: int,
    key: SessionKey,
    session: Session | None,
    *,
    upto_pos: int | None,
    upto_seq: int | None,
) -> Parked | None:
    """The same from where the generation holds the session, which is `session`; nothing is removed
    before."""
    skipped = skipped_events(connection, key)
    limits = {"upto_pos": upto_pos, "upto_seq": upto_seq}
    limits |= {"count": CHUNK_EVENTS, "size": CHUNK_BYTES}
    while True:
        first = session["seq"] + 1 if session is not None else 1
        rows = connection.execute(
            statement("archived_up_to"), {**key._asdict(), "first": first, **limits}
        ).fetchall()
        if not rows:
            return None
        if session is not None:
            analyse_filled(connection, generation)
        session, stopped = _fold_rows(connection, generation, key, session, rows, skipped)
        if stopped is not None:
            return stopped


def refold_everywhere(connection: Database, generation: int, key: SessionKey) -> None:
    """Fold a session afresh in the live generation, and in every other that holds it up to where
    it does; note whether, and where, it is parked now. Within the caller's transaction, which has
    moved the offset."""
    refold_live(connection, generation, key)
    for reach in reaches(connection, key):
        refold_session(connection, reach.generation, key, upto_pos=reach.pos, upto_seq=reach.seq)


def refold_live(connection: Database, generation: int, key: SessionKey) -> None:
    """The same in the live generation alone."""
    parked = refold_session(connection, generation, key)
    if parked is None:
        connection.execute(statement("go_on_folded"), key._asdict())
    else:
        connection.execute(statement("park_in_generation"), {**key._asdict(), **parked._asdict()})
        connection.execute(statement("unpark"), (key.tenant, key.session_id, parked.seq))


def _remove_rows(connection: Database, generation: int, key: SessionKey) -> None:
    where = {"tenant": key.tenant, "session_id": key.session_id}
    for table in ("sessions", *ROW_OF):
        connection.execute(statement(f"remove_{table}", generation=generation), where)


def _fold_rows(
    connection: Database,
    generation: int,
    key: SessionKey,
    session: Session | None,
    rows: list[Any],
    skipped: frozenset[int],
) -> tuple[Session | None, Parked | None]:
    """Fold the next events on `session` and write what they change, as many as can be folded at
    once; returns the session after them, and the event at which folding had to stop, if any."""
    models = ReadModels(connection, generation)
    work = SessionWork(key, session, models if session is not None else None)
    events, stopped = _decode(key, rows, skipped)
    fit = prefetch_some(models, work, events, size=CHUNK_BYTES)
    if fit < len(events):
        events, stopped = events[:fit], None
    for earlier in fold_prefetched([(work, events)]):
        stopped = earlier
    try:
        with connection.transaction():
            _write(connection, generation, work)
    except Exception as error:
        refused = refusal(error)
        if refused is None:
            raise
        if len(events) > 1:
            some = rows[: len(events) // 2]
            return _fold_rows(connection, generation, key, session, some, skipped)
        seq, event_id = rows[0][:2]
        return session, Parked(key, seq, event_id, str(refused), refused=True)
    return work.session, stopped


def _decode(
    key: SessionKey, rows: list[Any], skipped: frozenset[int]
) -> tuple[list[RecordedEvent], Parked | None]:
    events: list[RecordedEvent] = []
    for row in rows:
        event = StoredEvent(*row[:4])
        try:
            events.append(decode_archived(key, event, row[4], skipped))
        except InvalidEvent as error:
            return events, Parked(key, event.seq, event.event_id, str(error))
    return events, None


def _write(connection: Database, generation: int, work: SessionWork) -> None:
    # COPY is quicker for many turns; a pipeline cannot do it.
    copied = connection.pgconn.pipeline_status == PipelineStatus.OFF
    with connection.cursor() as cursor:
        write_rows(cursor, generation, [work], large=copied)
