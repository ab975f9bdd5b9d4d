"""Erasures that Postgres has lost: it came back from an older backup, with text that is erased.

Of an erased session Redis has nothing but the tombstone in its head. That is enough: the events
that Postgres lacks were erased as well, and their places are filled with stubs.
"""

import logging

from turnlog_producers.head import Head
from turnlog_projector.log import SessionKey, StoredEvent, Tail
from turnlog_projector.projection import Projection
from turnlog_schemas import times
from turnlog_schemas.codec import encode
from turnlog_schemas.ids import derived_id
from turnlog_schemas.stubs import UNREADABLE, make_stub

_AT_ONCE = 500

logger = logging.getLogger(__name__)


def take_tombstone(projection: Projection, key: SessionKey) -> bool:
    """Erase a session in Postgres of which Redis knows nothing but that it is erased; False when
    there is nothing to do."""
    keys = projection.log.keys(key)
    value = projection.log.client.hget(keys.heads, keys.field)
    if value is None:
        return False
    head = Head.parse(value)
    projection.load([key])
    if not head.erased or head.base < head.seq or head.seq <= projection.archived(key).seq:
        return False
    logger.warning(
        "session %s: erased in Redis, but not in Postgres, which is at seq %d of %d; erasing it",
        key.field,
        projection.archived(key).seq,
        head.seq,
    )
    while (seq := projection.archived(key).seq) < head.seq:
        places = range(seq + 1, min(seq + _AT_ONCE, head.seq) + 1)
        projection.take(key, Tail([_event(key, head, place) for place in places], head))
        projection.load([key])
    return True


def _event(key: SessionKey, head: Head, seq: int) -> StoredEvent:
    at = times.from_ms(head.recorded_at)
    if seq == head.seq:
        raw = encode("session.erased", {}, event_id=head.event_id, at=at)
        return StoredEvent(seq, head.event_id, head.recorded_at, raw)
    event_id = derived_id("erased", key.tenant, key.session_id, str(seq))
    raw = make_stub(event_id, UNREADABLE, 1, at, head.seq, {})
    return StoredEvent(seq, event_id, head.recorded_at, raw)
