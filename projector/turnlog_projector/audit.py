"""The audit of a partition: does every session's head agree with what is archived, both ways?

The index tells what to project next; the audit trusts only heads, streams and archive, so a lost
index entry, a lost tail or a stream deleted by hand cannot hide from it. It works in small steps,
so that projection goes on in between.
"""

from collections.abc import Iterator
from contextlib import suppress

from redis.exceptions import ResponseError

from turnlog_producers.head import Head
from turnlog_projector.batch import Archived, Batch, Offset
from turnlog_projector.erasing import clean_again, look_again
from turnlog_projector.erasure_lost import take_tombstone
from turnlog_projector.errors import Quarantined
from turnlog_projector.heal import heal
from turnlog_projector.healings import record_entry, record_index
from turnlog_projector.log import Held, SessionKey
from turnlog_projector.parking import park
from turnlog_projector.projection import Projection, StreamBroken
from turnlog_projector.sqlfiles import statement

_STEP = 500


def audit(projection: Projection, partition: int, *, move_anchor: bool) -> Iterator[int | None]:
    """Audit one partition; yields the number of sessions put right, once a step, and None as long
    as it waits for the projection.

    With `move_anchor` (the index lost the anchor) the partition goes on from the end that the index
    had when the audit began: everything before it has been compared session by session.
    """
    [noted] = projection.log.index_ends([partition])
    behind: dict[SessionKey, int] = {}
    cursor = 0
    while True:
        cursor, heads = projection.log.heads(partition, cursor, _STEP)
        yield _check_heads(projection, heads, None if move_anchor else behind)
        if cursor == 0:
            break
    after = ("", "")
    while True:
        keys = _archived_after(projection, partition, after)
        yield _check_missing(projection, keys)
        if len(keys) < _STEP:
            break
        after = (keys[-1].tenant, keys[-1].session_id)
    if behind:
        # Up to the end that the index has now: it tells of all that was appended before a head was
        # looked at.
        [upto] = projection.log.index_ends([partition])
        while upto is not None and projection.offsets[partition].n < upto.n:
            yield None
            [end] = projection.log.index_ends([partition])
            if end is None or end.n < upto.n:
                upto = end  # somebody deletes entries: do not wait for one that never comes
        yield _check_behind(projection, behind)
    for keys in look_again(projection.log, projection.connection, partition):
        if keys:
            projection.erased.add(partition)
        yield len(keys)
    if move_anchor:
        old = projection.offsets[partition]
        new = Offset(0, "", "", old.epoch + 1, old.pos)
        if noted is not None:
            new = Offset(noted.n, noted.session, noted.last, old.epoch + 1, old.pos)
        batch = Batch(projection.generation)
        batch.moves[partition] = (old, new)
        projection.commit(batch)
        reason = f"the index does not hold entry {old.n} any more; now at {new.n}"
        record_index(projection.connection, partition, reason)


def settle(
    projection: Projection, key: SessionKey, reason: str, *, unindexed: bool = False
) -> None:
    """Put one session right: heal its stream, then project what it holds, whatever the index says.
    A session that cannot be healed is parked, and the others go on. With `unindexed` it is recorded
    when that projects anything: the index should have told of it."""
    projection.forget(key)
    projection.load([key])
    archived = projection.archived(key)
    first = archived.seq + 1
    try:
        _check_trimmed(projection, key)
        if not archived.seq or projection.log.holds(key, *archived[:3]):
            # Archived as far as it is whole, little is left to move; and its owner is known, should
            # the head have to be made anew.
            with suppress(StreamBroken):
                _catch_up(projection, key)
        healing = heal(
            projection.log,
            projection.connection,
            key,
            projection.archived(key),
            projection.session(key),
            reason,
            trim_after=projection.trim_after,
        )
        if healing.rebuilt:
            clean_again(projection.connection, key)
        _catch_up(projection, key)
        take_tombstone(projection, key)
        if unindexed and not healing.rebuilt and projection.archived(key).seq >= first:
            record_entry(projection.connection, key, reason, from_seq=first)
    except Quarantined as error:
        park(projection, key, f"quarantined: {error}")
    except StreamBroken as error:
        park(projection, key, f"quarantined: {error.reason}")
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        park(projection, key, "quarantined: a key of it in Redis holds another kind of data")
    projection.settled.add(key)


def _check_trimmed(projection: Projection, key: SessionKey) -> None:
    """What Redis has trimmed must be archived; it is not when Postgres came back from a backup that
    is older than what Redis keeps. Raises `Quarantined`."""
    head = projection.log.head(key)
    archived = projection.archived(key).seq
    if head is not None and head.base > archived and not head.erased:
        raise Quarantined(
            f"events {archived + 1} to {head.base} have left Redis and are not in this archive: "
            "restore a newer backup of Postgres, or what `turnlog archive dump` has kept; if there "
            "is none, go on without them: `turnlog repair --accept-loss SESSION`"
        )


def _catch_up(projection: Projection, key: SessionKey) -> None:
    while projection.catch_up(key):
        pass


def _check_heads(
    projection: Projection, heads: dict[SessionKey, Head], behind: dict[SessionKey, int] | None
) -> int:
    """Put sessions right whose head and archive disagree. One that only waits for its projection is
    noted in `behind`, if given, with the seq that it has to reach."""
    if not heads:
        return 0
    held = dict(zip(heads, projection.log.held(heads), strict=True))
    archived = projection.models.archived(heads)
    wrong = 0
    for key, found in held.items():
        head = found.head
        if head is None:
            continue  # gone by now: `_check_missing` comes to it
        known = archived.get(key)
        reason = _fault(head, found, known)
        waits = head.seq > (known.seq if known else 0) and found.length == head.seq - head.base
        if behind is not None and waits:
            behind[key] = head.seq
            continue
        if reason is not None:
            settle(projection, key, reason, unindexed=behind is not None)
            wrong += 1
    return wrong


def _check_behind(projection: Projection, behind: dict[SessionKey, int]) -> int:
    """Sessions that the projection has passed by: no index entry ever told of their events."""
    found = projection.models.archived(behind)
    late = [key for key, seq in behind.items() if key not in found or found[key].seq < seq]
    for key in late:
        settle(projection, key, "the index did not tell of its newest events", unindexed=True)
    return len(late)


def _fault(head: Head, held: Held, archived: Archived | None) -> str | None:
    if -1 in (held.length, held.ids):
        return "a key of it holds another kind of data"
    if held.length != head.seq - head.base:
        return f"the stream holds {held.length} events, its head counts {head.seq - head.base}"
    if held.length != held.ids:
        return f"the stream holds {held.length} events, their ids are {held.ids}"
    if archived is None:
        return "not archived yet"
    if head.seq < archived.seq:
        return f"Redis is at seq {head.seq}, the archive at {archived.seq}"
    if head.seq > archived.seq:
        return f"the archive is at seq {archived.seq}, Redis at {head.seq}"
    if (head.event_id, head.recorded_at) != (archived.event_id, archived.recorded_at):
        return f"event {head.seq} is another one than the archived"
    return None


def _archived_after(
    projection: Projection, partition: int, after: tuple[str, str]
) -> list[SessionKey]:
    rows = projection.connection.execute(
        statement("archived_sessions_after"),
        {"partition": partition, "tenant": after[0], "session_id": after[1], "count": _STEP},
    )
    return [SessionKey(partition, row[0], row[1]) for row in rows]


def _check_missing(projection: Projection, keys: list[SessionKey]) -> int:
    """Archived sessions that Redis has no head of."""
    present = projection.log.have_heads(keys)
    missing = [key for key, there in zip(keys, present, strict=True) if not there]
    for key in missing:
        settle(projection, key, "Redis lost the session")
    return len(missing)
