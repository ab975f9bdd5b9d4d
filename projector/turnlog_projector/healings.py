"""The record of what was put right: a row of `turnlog.healings` and a line in the log each."""

import logging

from turnlog_projector.database import Database
from turnlog_projector.log import SessionKey
from turnlog_projector.sqlfiles import statement

logger = logging.getLogger(__name__)


def record_stream(
    connection: Database,
    key: SessionKey,
    reason: str,
    *,
    from_seq: int,
    restored: int,
    moved: int,
    lost: int,
) -> None:
    """The stream of a session was rebuilt."""
    counts = {"from_seq": from_seq, "restored": restored, "moved": moved, "lost": lost}
    _put(connection, "stream", key, reason, **counts)
    logger.warning(
        "healed session %s from seq %d: %d events restored from the archive, %d moved, %d lost "
        "(%s). Find out what Redis lost, and why",
        key.field,
        *counts.values(),
        reason,
    )
    if lost:
        logger.error(
            "%d events of session %s are lost for good: neither Redis nor the archive has them. "
            "Have their producers send them again, and see that Redis writes every append to its "
            "disk (appendfsync always)",
            lost,
            key.field,
        )


def record_entry(connection: Database, key: SessionKey, reason: str, *, from_seq: int) -> None:
    """Events of a session were fetched that the index did not tell of."""
    _put(connection, "entry", key, reason, from_seq=from_seq)
    logger.warning(
        "session %s: events from seq %d on were fetched without the index (%s). Nothing is lost; "
        "find out what deletes entries of the index in Redis",
        key.field,
        from_seq,
        reason,
    )


def record_index(connection: Database, partition: int, reason: str) -> None:
    """All sessions of a partition were compared, because its index does not go on from where it was
    projected."""
    _put(connection, "index", SessionKey(partition, "", ""), reason, from_seq=0)
    logger.warning(
        "partition %d was audited and goes on (%s). If Redis was not started from an older copy, "
        "find out what deletes its keys",
        partition,
        reason,
    )


def _put(
    connection: Database,
    kind: str,
    key: SessionKey,
    reason: str,
    *,
    from_seq: int,
    restored: int = 0,
    moved: int = 0,
    lost: int = 0,
) -> None:
    connection.execute(
        statement("put_healing"),
        {
            **key._asdict(),
            "kind": kind,
            "reason": reason,
            "from_seq": from_seq,
            "restored": restored,
            "moved": moved,
            "lost": lost,
        },
    )
