"""What the log already holds of a conversation: asked of Redis and, for what was trimmed there, of
the archive."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from pydantic_core import from_json

from turnlog_producers.core import Event
from turnlog_producers.head import Head
from turnlog_producers.keys import Keys
from turnlog_producers.meta import ensure_meta
from turnlog_projector.archive import archived_events
from turnlog_projector.database import Database, connect_postgres, connect_redis
from turnlog_projector.errors import NotReady, ServerUnavailable, UnsafeServer
from turnlog_projector.log import SessionKey
from turnlog_projector.sqlfiles import statement

_CHUNK = 500


class Found(NamedTuple):
    """The first `known` events are in the log, which is at `seq`. `is_beginning`: nothing there
    contradicts the others, so they may follow."""

    known: int
    seq: int
    is_beginning: bool


class Places(NamedTuple):
    """A session that is at `seq`, and the seqs of those events that it has."""

    seq: int
    of: dict[str, int]
    """event_id -> seq"""


class Imported:
    """Answers for one tenant, one question at a time."""

    def __init__(self, redis_url: str, postgres_url: str, tenant: str) -> None:
        """`postgres_url` may be '': then sessions that were trimmed cannot be compared."""
        self._client = connect_redis(redis_url)
        self._postgres_url = postgres_url
        self._tenant = tenant
        self._connection: Database | None = None
        self._no_archive = None if postgres_url else "no Postgres is known: give --postgres-url"
        self._partitions: int | None = None
        self._lock = asyncio.Lock()

    async def find(self, session_id: str, events: Sequence[Event]) -> Found:
        """Compare the events with the session as it is in the log. Raises `NotReady` when that
        takes the archive and Postgres cannot be asked."""
        async with self._lock:
            return await asyncio.to_thread(self._find, session_id, events)

    async def places(self, session_id: str, events: Sequence[Event]) -> Places:
        """Where the session has these events. Raises `NotReady` as `find` does."""
        async with self._lock:
            return await asyncio.to_thread(self._places, session_id, events)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        if self._connection is not None:
            self._connection.close()

    def _find(self, session_id: str, events: Sequence[Event]) -> Found:
        keys = self._keys(session_id)
        value = cast(bytes | None, self._client.hget(keys.heads, keys.field))
        if value is None:
            return Found(0, 0, is_beginning=True)
        head = Head.parse(value)
        seqs = self._seqs(keys, session_id, head, events)
        count = sum(1 for event in events if event.event_id in seqs)
        first = [event.event_id in seqs for event in events[:count]]
        if count == 0 or not all(first):
            return Found(count, head.seq, is_beginning=False)
        if count == len(events):
            return Found(count, head.seq, is_beginning=True)
        last = max(seqs.values())
        taken = self._has_turn(session_id, head, last + 1, events[count].turn_id)
        return Found(count, head.seq, is_beginning=not taken)

    def _places(self, session_id: str, events: Sequence[Event]) -> Places:
        keys = self._keys(session_id)
        value = cast(bytes | None, self._client.hget(keys.heads, keys.field))
        if value is None:
            return Places(0, {})
        head = Head.parse(value)
        return Places(head.seq, self._seqs(keys, session_id, head, events))

    def _keys(self, session_id: str) -> Keys:
        if self._partitions is None:
            self._partitions = ensure_meta(self._client).partitions
        return Keys(self._tenant, session_id, self._partitions)

    def _seqs(
        self, keys: Keys, session_id: str, head: Head, events: Sequence[Event]
    ) -> dict[str, int]:
        """event_id -> seq of those events that are in the log."""
        ids = [event.event_id for event in events]
        seqs: dict[str, int] = {}
        for start in range(0, len(ids), _CHUNK):
            some = ids[start : start + _CHUNK]
            found = cast(list[bytes | None], self._client.hmget(keys.ids, some))
            seqs |= {id_: int(seq) for id_, seq in zip(some, found, strict=True) if seq}
        if head.base == 0 or len(seqs) == len(ids):
            return seqs
        count = len(ids)
        where = [keys.partition] * count, [self._tenant] * count, [session_id] * count, ids
        rows = self._archive(session_id).execute(statement("known_event_ids"), where)
        return seqs | {row[2]: row[3] for row in rows}

    def _has_turn(self, session_id: str, head: Head, first: int, turn_id: str | None) -> bool:
        """Whether a turn of this id was written at `first` or later: by an import of other content
        under the same name."""
        keys = self._keys(session_id)
        key = SessionKey(keys.partition, self._tenant, session_id)
        while first <= head.seq:
            if first > head.base:
                last = min(first + _CHUNK - 1, head.seq)
                reply: Any = self._client.xrange(keys.stream, min=f"{first}-0", max=f"{last}-0")
                raws = [entry[1][1] for entry in reply]
            else:
                rows = archived_events(self._archive(session_id), key, first, count=_CHUNK)
                raws = [stored.raw for stored, _ in rows]
            if not raws:
                break
            if any(_turn_id(raw) == turn_id for raw in raws):
                return True
            first += len(raws)
        return False

    def _archive(self, session_id: str) -> Database:
        if self._connection is None and self._no_archive is None:
            try:
                self._connection = connect_postgres(
                    self._postgres_url, application_name="turnlog import"
                )
            except (ServerUnavailable, UnsafeServer) as error:
                self._no_archive = str(error)
        if self._connection is None:
            raise NotReady(
                f"session {session_id} is no longer whole in Redis, so it has to be compared with"
                f" the archive, but {self._no_archive}"
            )
        return self._connection


def _turn_id(raw: bytes) -> object:
    try:
        event: Any = from_json(raw)
        return event["data"].get("turn_id")
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
