"""Retention: whole sessions that nothing has come to for too long are erased.

What counts is the clock of the log, not that of producers: history that was imported today begins
to age today.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from turnlog_projector.database import Database, scalar
from turnlog_projector.erasing_log import Asked, Request, ask_to_erase
from turnlog_projector.log import LogReader, SessionKey
from turnlog_projector.sqlfiles import statement

BY = "turnlog retention"


class Idle(NamedTuple):
    """A session that is due."""

    key: SessionKey
    seq: int
    """Of its last event."""
    recorded_at: int
    """When that came, ms since 1970."""


def due_before(log: LogReader, connection: Database, older_than: timedelta) -> int:
    """Sessions are due whose last event was recorded before this time, ms since 1970. The clocks of
    both servers have to say so: one that runs ahead must not erase what is not to be brought back.
    """
    now: float = scalar(connection, "SELECT extract(epoch FROM clock_timestamp())::float8")
    seconds, microseconds = log.client.time()
    now = min(now, seconds + microseconds / 1_000_000)
    return int((now - older_than.total_seconds()) * 1000)


def idle_sessions(
    connection: Database, partition: int, before: int, *, tenant: str | None = None, count: int
) -> Iterator[list[Idle]]:
    """The sessions of a partition that are due, at most `count` at a time."""
    after = ("", "")
    while True:
        rows = connection.execute(
            statement("idle_sessions"),
            {
                "partition": partition,
                "after_tenant": after[0],
                "after_session": after[1],
                "before": before,
                "tenant": tenant,
                "count": count,
            },
        ).fetchall()
        if rows:
            yield [Idle(SessionKey(partition, *row[:2]), *row[2:]) for row in rows]
        if len(rows) < count:
            return
        after = (rows[-1][0], rows[-1][1])


def erase_idle(log: LogReader, idle: list[Idle]) -> Asked:
    """Ask for the erasure of sessions that are due; one that has got an event since is left alone.
    Raises redis-py's errors."""
    requests = [Request(each.key, expected_seq=each.seq) for each in idle]
    return ask_to_erase(log, requests, by=BY)
