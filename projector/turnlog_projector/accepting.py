"""Going on deliberately without events that nobody has any more: they left Redis when they were
archived, and Postgres came back from an older backup. An operator says so; nothing else does this.
"""

from contextlib import suppress
from typing import Any

from pydantic_core import to_json

from turnlog_producers.head import Head
from turnlog_projector.batch import LostPartition
from turnlog_projector.errors import NothingLost
from turnlog_projector.healings import record_stream
from turnlog_projector.log import SessionKey, StoredEvent, Tail
from turnlog_projector.parking import NotParked, retry
from turnlog_projector.projection import Projection
from turnlog_schemas import times
from turnlog_schemas.ids import derived_id, partition_of

LOST_TYPE = "event.lost"
"""What stands in the archive at the seq of an event that is lost. The fold does not know it."""

_AT_ONCE = 500


def accept_loss(projection: Projection, tenant: str, session_id: str) -> int:
    """Archive placeholders for the events of a session that have left Redis and are not in the
    archive, and fold the session again; returns how many that were. The projector does the rest.

    Raises `NothingLost`.
    """
    partition = partition_of(tenant, session_id, projection.log.partitions)
    key = SessionKey(partition, tenant, session_id)
    projection.reload([partition])
    projection.load([key])
    first = projection.archived(key).seq + 1
    head = projection.log.head(key)
    if head is None or head.base < first or head.erased:
        raise NothingLost(
            f"session {key.field} lacks no event that has left Redis; see `turnlog parked`"
        )
    while (archived := projection.archived(key)).seq < head.base:
        places = range(archived.seq + 1, min(archived.seq + _AT_ONCE, head.base) + 1)
        lost = [_placeholder(key, head, seq, archived.recorded_at) for seq in places]
        # Else the projector has written meanwhile, as it always may: from what stands now.
        with suppress(LostPartition):
            projection.take(key, Tail(lost, head))
        projection.load([key])
    count = head.base - first + 1
    record_stream(
        projection.connection,
        key,
        "an operator accepts the loss",
        from_seq=first,
        restored=0,
        moved=0,
        lost=count,
    )
    with suppress(NotParked):
        retry(projection, tenant, session_id)
    return count


def _placeholder(key: SessionKey, head: Head, seq: int, recorded_at: int) -> StoredEvent:
    """The last one is the event that the head of a cold session names: so its next one follows."""
    event_id = derived_id("lost", key.tenant, key.session_id, str(seq))
    if seq == head.seq:
        event_id, recorded_at = head.event_id, head.recorded_at
    at = times.from_ms(recorded_at)
    envelope: dict[str, Any] = {
        "event_id": event_id,
        "type": LOST_TYPE,
        "version": 1,
        "at": at,
        "data": {},
    }
    return StoredEvent(seq, event_id, recorded_at, to_json(envelope))
