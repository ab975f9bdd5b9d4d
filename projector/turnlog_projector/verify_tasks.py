"""What the processes of a verification do: one partition, or some sessions, page by page, each page
in a snapshot of its own."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

from turnlog_projector.crew import Kept
from turnlog_projector.database import Database, connect_redis
from turnlog_projector.digest import added, session_digest
from turnlog_projector.log import LogReader, SessionKey
from turnlog_projector.verify_large import check_large
from turnlog_projector.verify_reading import (
    NONE_REFUSED,
    HeadRow,
    Page,
    Refused,
    found_lines,
    heads_of,
    held_at_once,
    next_heads,
    snapshot,
    verify_connection,
)
from turnlog_projector.verify_sessions import (
    LARGE_SESSION_EVENTS,
    Checked,
    check_page,
)
from turnlog_projector.verify_streams import Suspects

PAGE_EVENTS = 2000
_PAGE_SESSIONS = 500


class Job(NamedTuple):
    """What is verified, and by which servers."""

    postgres_url: str
    redis_url: str | None
    """None: the streams are left alone."""
    partitions: int
    generation: int
    refused: Refused = NONE_REFUSED
    """Where a generation that is being built waits."""


def verify_partition(kept: Kept, job: Job, partition: int) -> Iterator[Checked]:
    """Verify all sessions of a partition; yields what was found, page by page."""
    yield from _Checker(job, kept).partition(partition)


def verify_sessions(kept: Kept, job: Job, keys: Sequence[SessionKey]) -> Iterator[Checked]:
    """Verify some sessions."""
    checker = _Checker(job, kept)
    for partition, named in groupby(sorted(keys), lambda key: key.partition):
        yield from checker.sessions(partition, list(named))


def digest_partition(
    kept: Kept, job: Job, partition: int, left_out: Collection[SessionKey]
) -> Iterator[Checked]:
    """Only digest what a generation holds of a partition, without some sessions: nothing is folded
    and nothing compared. The events told are those that heads counts."""
    connection = _connection(kept, job)
    after = ("", "")
    while True:
        with snapshot(connection, job.generation):
            heads = next_heads(connection, partition, after, _PAGE_SESSIONS)
            keys = [key for key in heads if key not in left_out]
            digest = 0
            for part in held_at_once(connection, job.generation, keys):
                lines = found_lines(connection, job.generation, part)
                digest = added(digest, *(session_digest(lines[key]) for key in part))
        if not heads:
            return
        events = sum(heads[key].seq for key in keys)
        yield Checked(len(keys), events, digest, digest, [])
        after = list(heads)[-1][1:]


def _connection(kept: Kept, job: Job) -> Database:
    return kept.get("verify", partial(verify_connection, job.postgres_url))


class _Plan(NamedTuple):
    """What to verify next: a page, or a session that is known to be large."""

    page: Page
    heads: dict[SessionKey, HeadRow]
    """Of the sessions of the page, or the large one."""
    large: SessionKey | None


class _Step(NamedTuple):
    """What was verified in one snapshot."""

    checked: Checked
    suspects: Sequence[SessionKey]
    reached: tuple[str, str] | None
    """Up to which session; None at the end of the partition."""


class _Checker:
    """Takes sessions page by page."""

    def __init__(self, job: Job, kept: Kept) -> None:
        self._job = job
        self._connection = _connection(kept, job)
        self._log: LogReader | None = None
        self._suspects: Suspects | None = None
        if job.redis_url is not None:
            client = kept.get("redis", partial(connect_redis, job.redis_url))
            self._log = LogReader(client, job.partitions)
            self._suspects = Suspects(self._connection, self._log)

    def partition(self, partition: int) -> Iterator[Checked]:
        """All sessions of a partition."""
        reached: tuple[str, str] | None = ("", "")
        while reached is not None:
            step = self._step(partial(_next_page, self._connection, partition, reached))
            yield from self._told(step)
            reached = step.reached

    def sessions(self, partition: int, keys: list[SessionKey]) -> Iterator[Checked]:
        """These sessions of a partition, which come in order."""
        while keys:
            step = self._step(partial(_named_page, self._connection, partition, keys))
            yield from self._told(step)
            assert step.reached is not None
            keys = [key for key in keys if key[1:] > step.reached]

    def _step(self, plan: Callable[[], _Plan]) -> _Step:
        with snapshot(self._connection, self._job.generation) as found:
            limits = found._replace(refused=self._job.refused)
            page, heads, large = plan()
            given = self._connection, self._log, limits
            if large is None:
                done = check_page(*given, page, heads, partitions=self._job.partitions)
                if done.large is None:
                    return _Step(done.checked, done.suspects, done.last or page.last)
                large = done.large
            checked, suspect = check_large(
                *given, large, heads.get(large), partitions=self._job.partitions
            )
            return _Step(checked, [large] if suspect else [], large[1:])

    def _told(self, step: _Step) -> Iterator[Checked]:
        yield step.checked
        if step.suspects and self._suspects is not None:
            yield Checked(0, 0, 0, 0, self._suspects.check(step.suspects))


def _next_page(connection: Database, partition: int, after: tuple[str, str]) -> _Plan:
    heads = next_heads(connection, partition, after, _PAGE_SESSIONS)
    chosen = _fitting(heads, list(heads))
    at_end = len(chosen) == len(heads) < _PAGE_SESSIONS
    page = Page(partition, after, None if at_end or not chosen else chosen[-1][1:])
    large = None if chosen or not heads else next(iter(heads))
    return _Plan(page, _only(heads, chosen, large), large)


def _named_page(connection: Database, partition: int, keys: list[SessionKey]) -> _Plan:
    keys = keys[:_PAGE_SESSIONS]
    heads = heads_of(connection, partition, keys)
    chosen = _fitting(heads, keys)
    page = Page(partition, None, chosen[-1][1:] if chosen else None, chosen)
    large = None if chosen else keys[0]
    return _Plan(page, _only(heads, chosen, large), large)


def _only(
    heads: dict[SessionKey, HeadRow], chosen: Sequence[SessionKey], large: SessionKey | None
) -> dict[SessionKey, HeadRow]:
    wanted = set(chosen) if large is None else {large}
    return {key: head for key, head in heads.items() if key in wanted}


def _fitting(heads: dict[SessionKey, HeadRow], keys: list[SessionKey]) -> list[SessionKey]:
    """As many of the sessions, from the first on, as a page takes; none when the first is large."""
    events = 0
    for place, key in enumerate(keys):
        seq = heads[key].seq if key in heads else 0
        events += seq
        if seq > LARGE_SESSION_EVENTS or (place and events > PAGE_EVENTS):
            return keys[:place]
    return keys
