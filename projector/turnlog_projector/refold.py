"""Folding one session afresh in one generation, from the archive, within the caller's transaction.

For whatever changes what a session's log says after it was folded: an erasure, a skip, a replay of
one session.
"""

from typing import Any

from psycopg.pq import PipelineStatus

from turnlog_projector.archive import decode_archived, skipped_events
from turnlog_projector.batch import Parked, write_rows
from turnlog_projector.database import Database
from turnlog_projector.folding import fold_all
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import ROW_OF
from turnlog_projector.work import SessionWork
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
    """
    _remove_rows(connection, generation, key)
    skipped = skipped_events(connection, key)
    models = ReadModels(connection, generation)
    limits = {"upto_pos": upto_pos, "upto_seq": upto_seq}
    limits |= {"count": CHUNK_EVENTS, "size": CHUNK_BYTES}
    session: Session | None = None
    first = 1
    while True:
        rows = connection.execute(
            statement("archived_up_to"), {**key._asdict(), "first": first, **limits}
        ).fetchall()
        if not rows:
            return None
        work = SessionWork(key, session, models if session is not None else None)
        stopped = _fold_rows(models, work, rows, skipped)
        _write(connection, generation, work)
        if stopped is not None:
            return stopped
        session = work.session
        first = rows[-1][0] + 1


def _remove_rows(connection: Database, generation: int, key: SessionKey) -> None:
    where = {"tenant": key.tenant, "session_id": key.session_id}
    for table in ("sessions", *ROW_OF):
        connection.execute(statement(f"remove_{table}", generation=generation), where)


def _fold_rows(
    models: ReadModels,
    work: SessionWork,
    rows: list[Any],
    skipped: frozenset[int],
) -> Parked | None:
    events: list[RecordedEvent] = []
    stopped: Parked | None = None
    for row in rows:
        event = StoredEvent(*row[:4])
        try:
            events.append(decode_archived(work.key, event, row[4], skipped))
        except InvalidEvent as error:
            stopped = Parked(work.key, event.seq, event.event_id, str(error))
            break
    for earlier in fold_all(models, [(work, events)]):
        stopped = earlier
    return stopped


def _write(connection: Database, generation: int, work: SessionWork) -> None:
    # COPY is quicker for many turns; a pipeline cannot do it.
    copied = connection.pgconn.pipeline_status == PipelineStatus.OFF
    with connection.cursor() as cursor:
        write_rows(cursor, generation, [work], large=copied)
