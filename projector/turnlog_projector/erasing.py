"""Erasure in Redis: what Postgres has erased goes from stream, ids and live deltas as well.

Whoever owns a partition does it, from the rows of `turnlog.erasures`, so a crash at any point is
made good by the next one. Audits look again: a Redis that comes back from an older copy brings the
text back with it.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple, cast

from redis.exceptions import ResponseError

from turnlog_producers.head import Head
from turnlog_producers.scripts import load_script
from turnlog_projector.batch import Archived, event_hash
from turnlog_projector.database import Database
from turnlog_projector.log import LogReader, SessionKey, StoredEvent
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import columns
from turnlog_schemas.erasure import WHOLE_SESSION

_AT_ONCE = 200
_COPIED_AT_ONCE = 1000
"""Entries of a stream: more would let Redis wait for longer than a few ms."""

logger = logging.getLogger(__name__)


class Pending(NamedTuple):
    """A row of `turnlog.erasures`."""

    key: SessionKey
    turn_id: str
    """`WHOLE_SESSION` when the session is erased."""
    events: int
    seqs: list[int]
    """Of the stubs of a turn."""


class Cleaned(NamedTuple):
    """What a round has done."""

    sessions: int
    """Sessions, whole or of some turns, that Redis is clean of now."""
    stale: list[SessionKey]
    """Sessions of which Redis does not hold what is archived: heal them, then clean again."""
    more: bool
    """There is more to do."""


def clean(log: LogReader, connection: Database, partitions: Iterable[int]) -> Cleaned:
    """One round of removing from Redis what is erased in some partitions."""
    rows = connection.execute(
        statement("pending_erasures"), {"partitions": sorted(partitions), "count": _AT_ONCE}
    ).fetchall()
    stale: list[SessionKey] = []
    done: list[Pending] = []
    pending = sorted(_pending(row) for row in rows)
    archived = ReadModels(connection, 0).archived({each.key for each in pending})
    for key, found in groupby(pending, key=lambda each: each.key):
        erasures = list(found)
        if _clean_session(log, connection, key, archived[key], erasures):
            done += erasures
        else:
            stale.append(key)
    if done:
        connection.execute(
            statement("erased_in_redis"),
            columns([(*each.key, each.turn_id, each.events) for each in done], 5),
        )
    sessions = len({each.key for each in done})
    return Cleaned(sessions, stale, len(rows) == _AT_ONCE and not stale)


def look_again(log: LogReader, connection: Database, partition: int) -> Iterator[list[SessionKey]]:
    """Look whether Redis is still clean of everything erased in a partition, in small steps; yields
    the sessions of each step that it is not clean of. Those are to be cleaned again."""
    after = ("", "", "")
    while True:
        rows = connection.execute(
            statement("done_erasures_after"),
            {
                "partition": partition,
                **dict(zip(("tenant", "session_id", "turn_id"), after, strict=True)),
                "count": _AT_ONCE,
            },
        ).fetchall()
        erasures = [_pending(row) for row in rows]
        found = _back_again(log, connection, erasures)
        if found:
            again = [(*each.key, each.turn_id) for each in found]
            connection.execute(statement("erased_again"), columns(again, 4))
            for key in sorted({each.key for each in found}):
                logger.warning("session %s: Redis holds erased text again; removing it", key.field)
        yield sorted({each.key for each in found})
        if len(rows) < _AT_ONCE:
            return
        last = erasures[-1]
        after = (last.key.tenant, last.key.session_id, last.turn_id)


def clean_again(connection: Database, key: SessionKey) -> None:
    """The stream of a session was written anew: what was there before may stand in Redis' files."""
    connection.execute(statement("erased_again_of_session"), key._asdict())


def _pending(row: Sequence[Any]) -> Pending:
    return Pending(SessionKey(*row[:3]), *row[3:])


def _clean_session(
    log: LogReader,
    connection: Database,
    key: SessionKey,
    archived: Archived,
    erasures: list[Pending],
) -> bool:
    """False when Redis does not hold what is archived."""
    try:
        if any(each.turn_id == WHOLE_SESSION for each in erasures):
            _erase_session(log, key, archived)
        else:
            _erase_turns(log, key, archived, _stubs(connection, key, erasures))
    except ResponseError as error:
        if not str(error).startswith("STALE"):
            raise
        return False
    return True


def _erase_session(log: LogReader, key: SessionKey, archived: Archived) -> None:
    keys = log.keys(key)
    source = load_script("erase_session", package="turnlog_projector").source
    names = (keys.heads, keys.stream, keys.ids, keys.live, *_copy(key))
    log.client.eval(source, len(names), *names, key.field, *map(str, archived[:3]))


def _erase_turns(
    log: LogReader, key: SessionKey, archived: Archived, stubs: list[StoredEvent]
) -> None:
    keys = log.keys(key)
    if _holds(log, key, stubs):
        log.client.delete(keys.live, *_copy(key))
        return
    source = load_script("erase_turns", package="turnlog_projector").source
    names = (keys.heads, keys.stream, keys.live, *_copy(key))
    # A copy that broke off lacks the stubs that came since.
    token = event_hash(repr([stub[:2] for stub in stubs]).encode()).hex()
    args: list[Any] = [key.field, *archived[:3], _COPIED_AT_ONCE, token]
    for stub in stubs:
        args += (stub.seq, stub.event_id, stub.raw)
    while cast(list[int], log.client.eval(source, len(names), *names, *args)) == [0]:
        continue


def _copy(key: SessionKey) -> tuple[str, str]:
    """The keys of a stream that is being written anew, and of which stubs it is."""
    name = f"{{tl:{key.partition}}}:erasing:{key.field}"
    return name, f"{name}:token"


def _stubs(connection: Database, key: SessionKey, erasures: list[Pending]) -> list[StoredEvent]:
    seqs = sorted({seq for each in erasures for seq in each.seqs})
    rows = connection.execute(statement("archived_stubs"), {**key._asdict(), "seqs": seqs})
    return [StoredEvent(*row) for row in rows]


def _back_again(log: LogReader, connection: Database, erasures: list[Pending]) -> list[Pending]:
    """Those of which Redis holds more than a tombstone, or other bytes than the stubs."""
    pipe = log.client.pipeline(transaction=False)
    for each in erasures:
        keys = log.keys(each.key)
        pipe.hget(keys.heads, keys.field)
        if each.turn_id == WHOLE_SESSION:
            pipe.exists(keys.stream, keys.ids, keys.live)
        else:
            pipe.execute_command("XRANGE", keys.stream, "-", "+", "COUNT", 1)
    replies: list[Any] = pipe.execute()
    found: list[Pending] = []
    for each, value, reply in zip(erasures, replies[::2], replies[1::2], strict=True):
        if value is None:
            continue  # the audit has healed it, or will
        head = Head.parse(value)
        if each.turn_id == WHOLE_SESSION:
            if reply or not head.erased or head.owner:
                found.append(each)
        elif reply and not _holds(log, each.key, _stubs(connection, each.key, [each])):
            found.append(each)
    return found


def _holds(log: LogReader, key: SessionKey, stubs: list[StoredEvent]) -> bool:
    """Whether the stream holds nothing but the stubs at their seqs."""
    for start in range(0, len(stubs), _AT_ONCE):
        some = stubs[start : start + _AT_ONCE]
        tails = log.tails([(key, stub.seq, stub.seq) for stub in some])
        for stub, tail in zip(some, tails, strict=True):
            if any(event.raw != stub.raw for event in tail.events):
                return False
    return True
