"""Reading the archive of a session, and what an operator has declared void in it."""

from turnlog_projector.database import Database
from turnlog_projector.folding import decode_stored
from turnlog_projector.log import SessionKey, StoredEvent
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.codec import RecordedEvent

FETCH_EVENTS = 500
"""So many rows of the archive are fetched at once,"""
LARGE_EVENT_BYTES = 64 * 1024
"""without the bytes of larger events: those are fetched one by one, when their turn comes."""


def skipped_events(connection: Database, key: SessionKey) -> frozenset[int]:
    """The seqs of a session that an operator has declared void."""
    rows = connection.execute(statement("skipped_events"), (key.tenant, key.session_id))
    return frozenset(row[0] for row in rows)


def skipped_by_session(connection: Database, partition: int) -> dict[SessionKey, frozenset[int]]:
    """All skips of a partition, for a replay."""
    found: dict[SessionKey, set[int]] = {}
    for row in connection.execute(statement("skipped_of_partition"), (partition,)):
        found.setdefault(SessionKey(partition, row[0], row[1]), set()).add(row[2])
    return {key: frozenset(seqs) for key, seqs in found.items()}


def archived_events(
    connection: Database, key: SessionKey, first: int, *, count: int
) -> list[tuple[StoredEvent, int | None]]:
    """Events of a session from the archive, oldest first, each with the seq it repeats, if any."""
    rows = connection.execute(
        statement("archived_events"), {**key._asdict(), "first": first, "count": count}
    )
    return [(StoredEvent(*row[:4]), row[4]) for row in rows]


def large_event(connection: Database, key: SessionKey, seq: int) -> tuple[bytes, bytes]:
    """The bytes of an archived event that was fetched without them, and their hash."""
    query = statement("archived_event")
    [(raw, hashed)] = connection.execute(query, (*key, seq), binary=True).fetchall()
    return raw, hashed


def decode_archived(
    key: SessionKey, stored: StoredEvent, repeat_of: int | None, skipped: frozenset[int]
) -> RecordedEvent:
    """Decode an archived event; a skipped one becomes an event that folds to nothing."""
    if stored.seq not in skipped:
        return decode_stored(key, stored, repeat_of)
    return RecordedEvent(
        key.tenant,
        key.session_id,
        stored.seq,
        stored.recorded_at,
        stored.event_id,
        "skipped",
        1,
        "9999-12-31T23:59:59.999999Z",
        None,
        {},
        repeat_of,
    )
