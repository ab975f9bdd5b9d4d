"""Parked sessions: one whose next event cannot be folded waits, the others go on.

Its events are archived all the same, so nothing is lost; `retry` folds the session afresh once the
cause is mended, `skip` declares the event void for good. Both do so in every generation.
"""

from typing import NamedTuple

from turnlog_projector.batch import Batch, LostPartition, Parked
from turnlog_projector.database import Database
from turnlog_projector.erasure import erase_found
from turnlog_projector.log import SessionKey
from turnlog_projector.projection import Projection
from turnlog_projector.refold import refold_everywhere
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import partition_of


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


def list_parked(connection: Database, tenant: str | None = None) -> list[ParkedSession]:
    """Everything parked or skipped, of one tenant or of all, newest first."""
    rows = connection.execute(statement("list_parked"), {"tenant": tenant})
    return [ParkedSession(*row) for row in rows]


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
    """Fold a parked session afresh, from its first event on, in every generation, as if it had
    never been parked; with `skip` without the event that parked it, if it was one: of a session
    that was quarantined nothing is voided. Returns how many events more are folded than before. The
    session stays parked (at a later event, perhaps) when folding stops again.

    All of it is done, or nothing. Its partition waits meanwhile. Raises `NotParked`.
    """
    key = SessionKey(
        partition_of(tenant, session_id, projection.log.partitions), tenant, session_id
    )
    while True:
        projection.reload([key.partition])
        projection.load([key])
        archived, session = projection.archived(key), projection.session(key)
        if archived.parked_seq is None:
            raise NotParked(f"session {tenant}:{session_id} is not parked; see `turnlog parked`")
        batch = Batch(projection.generation)
        if skip:
            batch.skipped = [(key, seq) for seq in _parked_events(projection.connection, key)]
        batch.rewrites.append(_Retry(key))
        old = projection.offsets[key.partition]
        batch.moves[key.partition] = (old, old._replace(epoch=old.epoch + 1))
        try:
            projection.commit(batch)
        except LostPartition:
            # The projector has written meanwhile, as it always may: from what stands now.
            continue
        after = projection.session(key)
        return (after["seq"] if after else 0) - (session["seq"] if session else 0)


class _Retry:
    """What a retry does in the transaction that moves the offset."""

    refolds = True

    def __init__(self, key: SessionKey) -> None:
        self.key = key

    def write(self, connection: Database, generation: int) -> None:
        erase_found(connection, self.key)
        refold_everywhere(connection, generation, self.key)


def _parked_events(connection: Database, key: SessionKey) -> list[int]:
    rows = connection.execute(statement("parked_events"), (key.tenant, key.session_id))
    return [row[0] for row in rows]
