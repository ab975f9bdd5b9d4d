"""Rollback: make a kept generation the live one again. It catches up with the archive first, and is
verified: a sample of its sessions and all that have changed, or everything."""

import time
from typing import Literal, NamedTuple

from turnlog_projector.database import Database
from turnlog_projector.digest import written
from turnlog_projector.flip import flip, follow_closely
from turnlog_projector.following import Follower, Tell
from turnlog_projector.generations import (
    Generation,
    NoSuchGeneration,
    active_generation,
    find_generation,
    positions_of,
)
from turnlog_projector.log import SessionKey
from turnlog_projector.proving import prove_everything, prove_sessions, prove_touched, together
from turnlog_projector.replaying import replay_connection
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import columns
from turnlog_projector.verify import sample_sessions

SAMPLE_SESSIONS = 1000


class RollbackReport(NamedTuple):
    """What a rollback did."""

    generation: int
    """The one that is live again."""
    former: int
    """The one that was, kept."""
    digest: str
    """Of the sessions that were verified."""
    caught_up: int
    """Events folded."""
    sessions: int
    """Verified."""
    parked: int
    seconds: float
    """Without the verification."""
    verify_seconds: float


def rollback(
    postgres_url: str,
    *,
    tell: Tell,
    generation: int | str | None = None,
    check: Literal["sample", "all"] = "sample",
    processes: int | None = None,
) -> RollbackReport:
    """Make a kept generation live again: the one named, else the one that was live last. The live
    one is kept, so that the same way leads back.

    Stopped at any point, it has brought the kept generation further, which changes nothing that
    anyone sees. Raises `NoSuchGeneration`, `ReplayUnderWay`, and `NotProven` when the generation is
    not what this release folds the log to: then a replay is what is needed.
    """
    began = time.monotonic()
    with replay_connection(postgres_url) as connection:
        former = active_generation(connection)
        found = _kept(connection, generation)
        follower = Follower(connection, postgres_url, found, tell)
        follower.positions = positions_of(connection, found.generation)
        if not follower.positions:
            raise NoSuchGeneration(
                f"generation {found.generation} was left before Turnlog noted where: replay instead"
            )
        _begin(follower)
        follow_closely(follower)
        if check == "all":
            whole = prove_everything(follower, processes)
            follower.touched.clear()
        else:
            sample = sample_sessions(connection, SAMPLE_SESSIONS)
            touched = prove_touched(follower, processes)
            whole = together(touched, prove_sessions(follower, sample, processes))
        flip(follower, former)
    return RollbackReport(
        found.generation,
        former,
        written(whole.digest),
        follower.done,
        whole.sessions,
        len(follower.parked),
        time.monotonic() - began - whole.seconds,
        whole.seconds,
    )


def _kept(connection: Database, wanted: int | str | None) -> Generation:
    if wanted is None:
        row = connection.execute(statement("newest_kept")).fetchone()
        if row is None:
            raise NoSuchGeneration("no former generation is kept: there is nothing to go back to")
        wanted = row[0]
    found = find_generation(connection, wanted)
    if found.state != "kept":
        raise NoSuchGeneration(
            f"generation {found.generation} is {found.state}: a rollback goes to a kept one"
        )
    return found


def _begin(follower: Follower) -> None:
    """What was void, and where sessions were parked, when the generation was live is known no more:
    sessions with voided events, and those that end before what was archived, are folded afresh."""
    follower.total = sum(follower.archived().values())
    follower.say("catching up")
    reached = columns(list(follower.positions.items()), 2)
    rows = follower.connection.execute(
        statement("incomplete_sessions", generation=follower.number), reached
    )
    for key in [SessionKey(*row) for row in rows]:
        follower.refold(key)
    follower.catch_up()
