"""Following the log: every new event of every session, as it is appended."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import redis

from turnlog_producers.meta import LogMeta, read_meta
from turnlog_projector.archive import archived_events
from turnlog_projector.database import Database, connect_postgres, connect_redis, one_line
from turnlog_projector.errors import NotReady
from turnlog_projector.log import IndexEntry, LogReader, SessionKey, StoredEvent, Tail
from turnlog_projector.wakes import Wakes

_LOOK_S = 2.0
_RETRY_S = 0.5
_ENTRIES = 200
_ARCHIVED_AT_ONCE = 200


class Followed(NamedTuple):
    """An event and whose it is."""

    key: SessionKey
    event: StoredEvent


class Follower:
    """Follows all partitions from now on. While Redis is away it waits, and then goes on where it
    stopped. Raises redis-py's errors only when Redis does not answer at the beginning."""

    def __init__(
        self, redis_url: str, *, tell: Callable[[str], None], postgres_url: str = ""
    ) -> None:
        """`tell` is given a line when Redis goes away, when it is back, and when events were
        trimmed before they were read. With `postgres_url` these come from the archive. Raises its
        `ServerUnavailable` when that does not answer by then."""
        self._client = connect_redis(redis_url)
        self._postgres_url = postgres_url
        self._archive: Database | None = None
        self._wakes = Wakes(connect_redis(redis_url))
        self._tell = tell
        self._wakes.subscribe()
        self._log = LogReader(self._client, self._meta().partitions)
        self._next = {
            partition: (end.n if end else 0) + 1
            for partition, end in enumerate(self._log.index_ends(range(self._log.partitions)))
        }

    def events(self, tenant: str | None, session_id: str | None) -> Iterator[Followed]:
        """New events, for ever: of one tenant or session, where they are given. In order within a
        session, not across sessions."""
        looked = 0.0
        away = False
        while True:
            try:
                if away:
                    self._wakes.subscribe()
                    looked = 0.0
                changed, _ = self._wakes.wait(_LOOK_S)
                if time.monotonic() - looked > _LOOK_S:
                    changed = set(self._next)
                    looked = time.monotonic()
                while changed:
                    entries = self._new_entries(changed)
                    changed = {p for p, new in entries.items() if len(new) == _ENTRIES}
                    yield from self._events_of(entries, tenant, session_id)
                if away:
                    self._tell("Redis is back")
                away = False
            except (redis.ConnectionError, redis.TimeoutError) as error:
                if not away:
                    self._tell(f"Redis does not answer, waiting: {one_line(error)}")
                away = True
                time.sleep(_RETRY_S)

    def close(self) -> None:
        """Close the connections."""
        self._wakes.close()
        self._client.close()
        if self._archive is not None:
            self._archive.close()

    def _meta(self) -> LogMeta:
        meta = read_meta(self._client)
        if meta is None:
            raise NotReady("this Redis holds no log yet: append something, or run `turnlog init`")
        return meta

    def _new_entries(self, partitions: set[int]) -> dict[int, list[IndexEntry]]:
        wanted = [(p, self._next[p]) for p in sorted(partitions) if p in self._next]
        found = self._log.index_from(wanted, _ENTRIES)
        return {p: new for (p, _), new in zip(wanted, found, strict=True) if new}

    def _events_of(
        self, entries: dict[int, list[IndexEntry]], tenant: str | None, session_id: str | None
    ) -> Iterator[Followed]:
        for partition, new in entries.items():
            ranges: list[tuple[SessionKey, int, int]] = []
            for entry in new:
                key = entry.key(partition)
                if tenant in (None, key.tenant) and session_id in (None, key.session_id):
                    ranges.append((key, entry.first, entry.end))
            tails = self._log.tails(ranges) if ranges else []
            if new[0].n > self._next[partition]:
                self._tell(
                    f"{new[0].n - self._next[partition]} changes of partition {partition} were "
                    "trimmed before they could be followed: `turnlog show` shows the sessions"
                )
            self._next[partition] = new[-1].n + 1
            for (key, first, last), tail in zip(ranges, tails, strict=True):
                yield from self._trimmed(key, first, last, tail)
                yield from (Followed(key, event) for event in tail.events)

    def _trimmed(self, key: SessionKey, first: int, last: int, tail: Tail) -> Iterator[Followed]:
        """The events of a range that are no longer in the stream: the archive has held them since
        before they were trimmed."""
        last = min(last, tail.head.base if tail.head else 0)
        if first <= last and not self._postgres_url:
            self._tell(
                f"events {first} to {last} of session {key.field} were trimmed before they could "
                "be followed: with --postgres-url they come from the archive"
            )
            return
        while first <= last:
            if self._archive is None:
                self._archive = connect_postgres(
                    self._postgres_url, application_name="turnlog tail"
                )
            count = min(last - first + 1, _ARCHIVED_AT_ONCE)
            found = archived_events(self._archive, key, first, count=count)
            if not found:
                return
            yield from (Followed(key, event) for event, _ in found)
            first = found[-1][0].seq + 1
