"""Trimming: what the archive has held for long enough goes from Redis, where every event takes
memory.

Each step is a script that looks itself whether Redis still holds what the archive does, so trimming
needs no lock, may be done by several at once, and may be killed at any moment.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import redis
from redis.exceptions import ResponseError

from turnlog_producers.head import Head
from turnlog_producers.keys import index_key
from turnlog_producers.scripts import load_script
from turnlog_projector.database import Database
from turnlog_projector.log import LogReader, SessionKey
from turnlog_projector.sqlfiles import statement
from turnlog_projector.trim_marks import Cut, TrimRule

_SCANNED_AT_ONCE = 500
_SESSIONS_AT_ONCE = 200
_EVENTS_AT_ONCE = 500
"""Of one session: more would let Redis wait for longer than a few ms."""
_ENTRIES_AT_ONCE = 1000

logger = logging.getLogger(__name__)


@dataclass
class Trimmed:
    """What was trimmed (or, in a dry run, what would be)."""

    events: int = 0
    sessions: int = 0
    """Sessions that had events trimmed."""
    cold: int = 0
    """Those of which only the head is left in Redis."""
    index_entries: int = 0
    left: int = 0
    """Sessions that were left alone: Redis and the archive disagree about their events."""


class _Step(NamedTuple):
    """The next events of a session to trim."""

    key: SessionKey
    head: Head
    is_quiet: bool
    event_ids: list[str]
    recorded_at: int
    """Of the last of them."""


class Trimmer:
    """Trims partitions or sessions by a rule. Raises the drivers' errors."""

    def __init__(
        self, log: LogReader, connection: Database, rule: TrimRule, *, dry_run: bool = False
    ) -> None:
        self.done = Trimmed()
        self._log = log
        self._connection = connection
        self._rule = rule
        self._dry_run = dry_run
        self._script = load_script("trim", package="turnlog_projector")
        self._index_script = load_script("trim_index", package="turnlog_projector")

    def partition(self, cut: Cut, *, tenant: str | None = None) -> Iterator[int]:
        """Trim a partition, of one tenant if named, in small steps; yields how many sessions it has
        looked at, once a step."""
        cursor = 0
        while cut.archived:
            cursor, heads = self._log.heads(cut.partition, cursor, _SCANNED_AT_ONCE)
            warm = [
                (key, head)
                for key, head in heads.items()
                if head.base < head.seq and tenant in (None, key.tenant)
            ]
            looked_at = len(heads) - len(warm)
            for start in range(0, len(warm), _SESSIONS_AT_ONCE):
                some = warm[start : start + _SESSIONS_AT_ONCE]
                for _ in self._sessions(cut, some):
                    yield 0
                looked_at += len(some)
            yield looked_at
            if cursor == 0:
                break
        if tenant is None:
            for _ in self._index(cut):
                yield 0

    def session(self, cut: Cut, key: SessionKey) -> None:
        """Trim one session of the partition of the cut, if Redis knows it."""
        keys = self._log.keys(key)
        value = cast(bytes | None, self._log.client.hget(keys.heads, keys.field))
        head = None if value is None else Head.parse(value)
        if cut.archived and head is not None and head.base < head.seq:
            for _ in self._sessions(cut, [(key, head)]):
                pass

    def _sessions(self, cut: Cut, heads: Sequence[tuple[SessionKey, Head]]) -> Iterator[None]:
        """Trim some sessions, the large ones in several rounds; yields after each."""
        seen: set[SessionKey] = set()
        while heads:
            steps = self._next(cut, heads)
            trimmed = steps if self._dry_run else self._trim(steps)
            again: list[tuple[SessionKey, Head]] = []
            for step in trimmed:
                self.done.events += len(step.event_ids)
                self.done.sessions += step.key not in seen
                seen.add(step.key)
                base = step.head.base + len(step.event_ids)
                self.done.cold += base == step.head.seq
                if len(step.event_ids) == _EVENTS_AT_ONCE and base < step.head.seq:
                    again.append((step.key, step.head._replace(base=base)))
            heads = again
            yield

    def _next(self, cut: Cut, heads: Sequence[tuple[SessionKey, Head]]) -> list[_Step]:
        """Ask the archive what it has held for long enough."""
        rows = self._connection.execute(
            statement("trim_next"),
            {
                "partition": cut.partition,
                "archived": cut.archived,
                "quiet": cut.quiet,
                "keep": self._rule.keep_events,
                "count": _EVENTS_AT_ONCE,
                "tenants": [key.tenant for key, _ in heads],
                "sessions": [key.session_id for key, _ in heads],
                "bases": [head.base for _, head in heads],
                "seqs": [head.seq for _, head in heads],
                "event_ids": [head.event_id for _, head in heads],
            },
        )
        steps: list[_Step] = []
        for number, is_quiet, event_ids, last_seq, last_t in rows:
            place: int = number - 1
            key, head = heads[place]
            if last_seq != head.base + len(event_ids):
                self._leave(f"session {key.field}: the archive lacks events before seq {last_seq}")
                continue
            steps.append(_Step(key, head, is_quiet, event_ids, last_t))
        return steps

    def _trim(self, steps: Sequence[_Step]) -> list[_Step]:
        """Trim in Redis; returns the steps that were done."""
        calls: list[tuple[Any, ...]] = []
        for step in steps:
            keys = self._log.keys(step.key)
            # Of a quiet session nothing is kept: that has to be still true.
            seq = step.head.seq if step.is_quiet else ""
            names = (keys.heads, keys.stream, keys.ids)
            where = (keys.field, step.head.base, seq, step.recorded_at)
            calls.append((self._script.sha, 3, *names, *where, *step.event_ids))
        done: list[_Step] = []
        for step, reply in zip(steps, self._evaluate(calls), strict=True):
            if isinstance(reply, ResponseError):
                if not str(reply).startswith(("LOST", "DIFFERS")):
                    raise reply
                self._leave(f"{reply}: an audit looks into it")
            elif reply[0]:
                done.append(step)
        return done

    def _leave(self, reason: str) -> None:
        self.done.left += 1
        logger.warning("not trimmed: %s", reason)

    def _evaluate(self, calls: Iterable[tuple[Any, ...]]) -> list[Any]:
        """The replies to calls of the script, error replies among them."""
        pipe = self._log.client.pipeline(transaction=False)
        pipe.script_load(self._script.source)
        for call in calls:
            pipe.execute_command("EVALSHA", *call)
        replies: list[Any] = pipe.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, redis.RedisError) and not isinstance(reply, ResponseError):
                raise reply
        return replies[1:]

    def _index(self, cut: Cut) -> Iterator[None]:
        """Trim the index of a partition; yields after each step."""
        while cut.n and cut.keep_from > 1 and not self._dry_run:
            where = (cut.n, cut.session, cut.event_id, cut.keep_from, _ENTRIES_AT_ONCE)
            trimmed = cast(
                int,
                self._log.client.eval(
                    self._index_script.source, 1, index_key(cut.partition), *map(str, where)
                ),
            )
            self.done.index_entries += trimmed
            yield
            if trimmed < _ENTRIES_AT_ONCE:
                break
