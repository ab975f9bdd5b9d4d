"""The flip: a generation that has followed the archive becomes the live one, between two batches of
every projector."""

import random
import time

import psycopg

from turnlog_projector.errors import ServerUnavailable
from turnlog_projector.following import Follower
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import columns

NEARLY_THERE_EVENTS = 500
"""What is folded at most while the offsets are locked, so that nobody waits for long."""

_LOCK_WAITS_MS = (50, 100, 200, 400)
_PAUSES_S = (0.05, 0.5)
_LONGEST_S = 600.0


def follow_closely(follower: Follower) -> None:
    """Catch up until hardly anything is left to fold under the lock."""
    while follower.behind() > NEARLY_THERE_EVENTS:
        follower.catch_up()
    follower.fold_skipped()


def flip(follower: Follower, former: int) -> None:
    """Fold the last events with the offsets locked, and make the generation the live one: the next
    compare-and-set of every worker fails, and it goes on in the new one.

    Nobody waits for longer than half a second: who holds an offset for longer, as a worker with a
    large batch may, is waited for in turns, and what piles up is folded without the lock. Raises
    `ServerUnavailable` when that does not succeed for ten minutes.
    """
    deadline = time.monotonic() + _LONGEST_S
    attempt = 0
    while True:
        follow_closely(follower)
        follower.say("flip")
        wait_ms = _LOCK_WAITS_MS[min(attempt, len(_LOCK_WAITS_MS) - 1)]
        try:
            if _flipped(follower, former, wait_ms):
                return
        except psycopg.errors.QueryCanceled:
            if time.monotonic() > deadline:
                raise ServerUnavailable(
                    "the offsets were never free for half a second: try again at a quieter time"
                ) from None
        attempt += 1
        time.sleep(random.uniform(*_PAUSES_S))  # noqa: S311 - not for secrecy


def _flipped(follower: Follower, former: int, wait_ms: int) -> bool:
    """False when too much has come since, or events were skipped: that is done without the lock."""
    connection = follower.connection
    with connection.transaction():
        # The time for all of the locks together; lock_timeout counts anew for each.
        connection.execute("SELECT set_config('statement_timeout', %s, true)", (f"{wait_ms}ms",))
        connection.execute(statement("lock_offsets"))
        connection.execute("SELECT set_config('statement_timeout', '0', true)")
        if follower.behind() > 2 * NEARLY_THERE_EVENTS or follower.skipped() != follower.skips:
            return False
        follower.catch_up()
        _write_parked(follower)
        connection.execute(statement("flip"), {"former": former, "generation": follower.number})
    return True


def _write_parked(follower: Follower) -> None:
    """Make the parked sessions those of this generation."""
    connection = follower.connection
    rows = [(*p.key, p.seq, p.event_id, p.error) for p in follower.parked.values()]
    connection.execute(statement("unpark_all"), columns(rows, 6)[:4])
    if rows:
        connection.execute(statement("park_all"), columns(rows, 6))
