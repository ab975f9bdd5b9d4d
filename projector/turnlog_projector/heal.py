"""Healing: a stream that lost events which the archive holds gets them back.

Redis comes back without its newest events after a crash without fsync, from an older copy, or as a
replica that was behind; new events may then have taken the same seqs. The archived ones keep their
seqs, because people have seen them; the newer ones move behind them.

The same event is one with the same id and the same recorded_at: a lost event that was sent again
may have got its old seq back behind others that were not there before.
"""

from datetime import timedelta
from typing import NamedTuple, cast

from redis.exceptions import ResponseError

from turnlog_producers.scripts import load_script
from turnlog_projector.batch import Archived
from turnlog_projector.database import Database
from turnlog_projector.errors import Quarantined
from turnlog_projector.healings import record_stream
from turnlog_projector.log import LogReader, SessionKey, StoredEvent
from turnlog_projector.ownership import ownership
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.rows import Session

MAX_RESTORED_EVENTS = 1000
MAX_RESTORED_BYTES = 8 * 1024 * 1024

_COMPARED_AT_ONCE = 8
"""Events of a stream read at once, bytes and all: each may have 1 MiB."""


class Healing(NamedTuple):
    """What healing a session took; all 0 when its stream was sound."""

    rebuilt: int
    """1 when the stream was written anew."""
    restored: int
    """Events given back from the archive."""
    moved: int
    """Newer events that got another seq."""
    lost: int
    """Seqs that Redis had counted, but nobody has the events any more."""


def heal(
    log: LogReader,
    connection: Database,
    key: SessionKey,
    archived: Archived,
    session: Session | None,
    reason: str,
    *,
    trim_after: timedelta | None = None,
) -> Healing:
    """Make the stream of a session hold what is archived, then what came after. With `trim_after` a
    session that is quiet for so long stays cold: only its head is made anew, so that a Redis that
    lost everything is not filled with what it had not held for years.

    Reports it as a row of `turnlog.healings` and one line in the log. Raises `Quarantined` when
    even the last event that both share turns out to be another one, or the stream holds what no
    script of ours wrote.
    """
    if log.is_sound(key, archived.seq, archived.event_id, archived.recorded_at):
        return Healing(0, 0, 0, 0)
    common = _last_common(log, connection, key, archived)
    owned = ownership(connection, key, archived, session)
    events = [] if owned.erased else _newest_archived(connection, key, archived.seq, trim_after)
    keys = log.keys(key)
    args: list[str | bytes | int] = [
        key.field,
        key.partition,
        archived.seq,
        archived.event_id,
        archived.recorded_at,
        common.seq if common else 0,
        common.event_id if common else "",
        common.recorded_at if common else 0,
        owned.owner,
        owned.flags,
    ]
    for event in events:
        args += (event.event_id, event.recorded_at, event.raw)
    try:
        reply = cast(
            list[int],
            log.client.eval(
                load_script("heal", package="turnlog_projector", shared=True).source,
                5,
                keys.heads,
                keys.index,
                keys.stream,
                keys.ids,
                f"{{tl:{key.partition}}}:healing:{key.field}",
                *args,
            ),
        )
    except ResponseError as error:
        if str(error).startswith(("FORKED", "FOREIGN")):
            raise Quarantined(str(error)) from None
        raise
    healing = Healing(*reply)
    if healing.rebuilt:
        from_seq = (common.seq if common else 0) + 1
        record_stream(
            connection,
            key,
            reason,
            from_seq=from_seq,
            restored=healing.restored,
            moved=healing.moved,
            lost=healing.lost,
        )
    return healing


def _last_common(
    log: LogReader, connection: Database, key: SessionKey, archived: Archived
) -> StoredEvent | None:
    """The newest event that stream and archive both hold at the same seq, if any."""
    upto = archived.seq
    while upto > 0:
        stored = log.newest(key, upto=upto, count=_COMPARED_AT_ONCE)
        if not stored:
            return None
        rows = connection.execute(
            statement("archived_ids"), {**key._asdict(), "first": stored[-1].seq, "last": upto}
        )
        known = {row[0]: (row[1], row[2]) for row in rows}
        for event in stored:
            if known.get(event.seq) == (event.event_id, event.recorded_at):
                return event
        upto = stored[-1].seq - 1
    return None


def _newest_archived(
    connection: Database, key: SessionKey, upto: int, trim_after: timedelta | None
) -> list[StoredEvent]:
    """The newest archived events, as many as a stream is given back, by seq. Of a repeat and its
    first event only the repeat: a stream holds no event id twice."""
    rows = connection.execute(
        statement("newest_archived"),
        {
            **key._asdict(),
            "upto": upto,
            "count": MAX_RESTORED_EVENTS,
            "size": MAX_RESTORED_BYTES,
            "trim_after": trim_after.total_seconds() if trim_after else None,
        },
    )
    events: list[StoredEvent] = []
    ids: set[str] = set()
    for row in rows:
        if row[1] in ids:
            break
        ids.add(row[1])
        events.append(StoredEvent(*row))
    events.reverse()
    return events
