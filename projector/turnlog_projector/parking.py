"""Parked sessions: one whose next event cannot be folded waits, the others go on.

Its events are archived all the same, so nothing is lost; `retry` folds on from there once the cause
is mended, `skip` declares the event void for good, in every generation.
"""

from typing import NamedTuple

from turnlog_projector.archive import archived_events, decode_archived, skipped_events
from turnlog_projector.batch import Batch, LostPartition, Parked
from turnlog_projector.database import Database
from turnlog_projector.folding import fold_all
from turnlog_projector.log import SessionKey
from turnlog_projector.projection import Projection
from turnlog_projector.sqlfiles import statement
from turnlog_projector.work import SessionWork
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.errors import InvalidEvent, TurnlogError
from turnlog_schemas.ids import partition_of

_CHUNK = 1000


class NotParked(TurnlogError):
    """The session named is not parked."""


class ParkedSession(NamedTuple):
    """A row of `turnlog parked`."""

    tenant: str
    session_id: str
    seq: int
    event_id: str
    state: str
    error: str
    at: str
    """RFC 3339, UTC."""
    waiting: int
    """Events archived from that one on."""


def list_parked(connection: Database) -> list[ParkedSession]:
    """Everything parked or skipped, newest first."""
    return [ParkedSession(*row) for row in connection.execute(statement("list_parked"))]


def park(projection: Projection, key: SessionKey, error: str) -> None:
    """Park a session at the event after the last archived one."""
    projection.load([key])
    archived = projection.archived(key)
    if archived.parked_seq is not None:
        return
    batch = Batch(projection.generation)
    batch.parked[key] = Parked(key, archived.seq + 1, archived.event_id or "-", error)
    batch.heads[key] = archived._replace(parked_seq=archived.seq + 1)
    old = projection.offsets[key.partition]
    batch.moves[key.partition] = (old, old._replace(epoch=old.epoch + 1))
    projection.commit(batch)


def retry(projection: Projection, tenant: str, session_id: str, *, skip: bool = False) -> int:
    """Fold a parked session on; with `skip`, without the event that parked it, if it was one: of a
    session that was quarantined nothing is voided. Returns how many events were folded. It stays
    parked (at a later event, perhaps) when folding stops again.

    Raises `NotParked`.
    """
    key = SessionKey(
        partition_of(tenant, session_id, projection.log.partitions), tenant, session_id
    )
    projection.reload([key.partition])
    projection.load([key])
    if projection.archived(key).parked_seq is None:
        raise NotParked(f"session {tenant}:{session_id} is not parked; see `turnlog parked`")
    skips = _parked_events(projection.connection, key) if skip else frozenset[int]()
    folded = 0
    while (parked_seq := projection.archived(key).parked_seq) is not None:
        try:
            folded += _fold_on(projection, key, skips)
        except LostPartition:
            # The projector has written meanwhile, as it always may: from what stands now.
            projection.load([key])
            continue
        if projection.archived(key).parked_seq == parked_seq:
            break
    return folded


def _fold_on(projection: Projection, key: SessionKey, skips: frozenset[int]) -> int:
    archived = projection.archived(key)
    session = projection.session(key)
    skipped = skipped_events(projection.connection, key) | skips
    first = session["seq"] + 1 if session else 1
    rows = archived_events(projection.connection, key, first, count=_CHUNK)
    batch = Batch(projection.generation)
    work = SessionWork(key, session, projection.models)
    stopped: Parked | None = None
    events: list[RecordedEvent] = []
    for stored, repeat_of in rows:
        try:
            events.append(decode_archived(key, stored, repeat_of, skipped))
        except InvalidEvent as error:
            stopped = Parked(key, stored.seq, stored.event_id, str(error))
            break
    for parked in fold_all(projection.models, [(work, events)]):
        stopped = parked
    folded = (work.session["seq"] if work.session else 0) - first + 1
    if stopped is None and len(rows) == _CHUNK:
        last = rows[-1][0]
        stopped = Parked(key, last.seq + 1, last.event_id, "its retry broke off: retry it again")
    if stopped is not None:
        batch.parked[key] = stopped
    if folded:
        batch.works[key] = work
    batch.skipped = [(key, seq) for seq in skips]
    parked_seq = stopped.seq if stopped else None
    batch.heads[key] = archived._replace(parked_seq=parked_seq)
    batch.unparked.append((key, parked_seq))
    old = projection.offsets[key.partition]
    batch.moves[key.partition] = (old, old._replace(epoch=old.epoch + 1))
    projection.commit(batch)
    return folded


def _parked_events(connection: Database, key: SessionKey) -> frozenset[int]:
    rows = connection.execute(statement("parked_events"), (key.tenant, key.session_id))
    return frozenset(row[0] for row in rows)
