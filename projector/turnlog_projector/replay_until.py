"""Replay up to a point, into a generation to look at: it is never made live by itself. Reading it
shows what every conversation, or one, looked like then."""

import time
from typing import NamedTuple

from turnlog_projector.database import Database, scalar
from turnlog_projector.digest import written
from turnlog_projector.flip import follow_closely
from turnlog_projector.following import Follower, Tell
from turnlog_projector.generations import find_generation, move_positions
from turnlog_projector.log import SessionKey
from turnlog_projector.proving import Proof, prove_copied, prove_touched, together
from turnlog_projector.rebuild import Rebuild
from turnlog_projector.replaying import new_generation, replay_connection
from turnlog_projector.sqlfiles import statement
from turnlog_schemas import times
from turnlog_schemas.errors import TurnlogError


class CannotLook(TurnlogError):
    """There is nothing to look at, or the name is taken."""


class Point(NamedTuple):
    """Up to where: events recorded up to a time (ms since 1970), or up to a seq of one session."""

    recorded_at: int | None = None
    seq: int | None = None

    @property
    def text(self) -> str:
        if self.recorded_at is not None:
            return times.from_ms(self.recorded_at)
        return f"seq {self.seq}"


class UntilReport(NamedTuple):
    """What a replay up to a point has made."""

    generation: int
    name: str
    digest: str
    events: int
    """Folded."""
    sessions: int
    parked: int
    seconds: float
    """Without the verification."""
    verify_seconds: float


def replay_until(
    postgres_url: str,
    point: Point,
    *,
    tell: Tell,
    key: SessionKey | None = None,
    name: str | None = None,
    processes: int | None = None,
) -> UntilReport:
    """Rebuild as of a point, every session or one, into a new generation with the state `until`.
    What is erased later is erased there as well; nothing else ever changes it.

    Raises `CannotLook`, and what `replay` raises.
    """
    began = time.monotonic()
    name = name or (f"{key.session_id} until {point.text}" if key else f"until {point.text}")
    with replay_connection(postgres_url) as connection:
        _check(connection, point, key, name)
        with new_generation(connection) as generation:
            limits = {
                "generation": generation,
                "name": name,
                "until_recorded_at": point.recorded_at,
                "until_seq": point.seq,
                "tenant": key.tenant if key else None,
                "session_id": key.session_id if key else None,
            }
            connection.execute(statement("limit_generation"), limits)
            found = find_generation(connection, generation)
            if key is not None:
                follower = Follower(connection, postgres_url, found, tell)
                proof = _one_session(follower, key)
            else:
                follower = Rebuild(connection, postgres_url, found, tell)
                proof = _all_sessions(follower, processes)
            # What was erased before others could see how far it is.
            follow_closely(follower)
            proving = proof.seconds + prove_touched(follower, processes).seconds
            events = scalar(connection, statement("generation_events", generation=generation))
            connection.execute(
                "UPDATE turnlog.generations SET state = 'until' WHERE generation = %s",
                (generation,),
            )
    return UntilReport(
        generation,
        name,
        written(proof.digest),
        events,
        proof.sessions,
        len(follower.parked),
        time.monotonic() - began - proving,
        proving,
    )


def _check(connection: Database, point: Point, key: SessionKey | None, name: str) -> None:
    if name.isdecimal():
        raise CannotLook(f"{name} would be taken for a number: give the generation another name")
    taken = scalar(connection, "SELECT generation FROM turnlog.generations WHERE name = %s", name)
    if taken is not None:
        raise CannotLook(
            f"generation {taken} is called {name!r} already: drop it, or give another name"
        )
    if point.recorded_at is not None and point.recorded_at > time.time() * 1000:
        raise CannotLook(f"{point.text} lies in the future")
    if key is None:
        return
    rows = connection.execute(statement("load_archived"), [[part] for part in key]).fetchall()
    last = rows[0][3] if rows else 0
    if last < (point.seq or 1):
        raise CannotLook(f"session {key.field} has {last} archived events")


def _one_session(follower: Follower, key: SessionKey) -> Proof:
    connection = follower.connection
    with connection.transaction():
        connection.execute(statement("generation_indexes", generation=follower.number))
        pos = scalar(
            connection, "SELECT pos FROM turnlog.offsets WHERE partition = %s", key.partition
        )
        follower.positions = {key.partition: pos}
        follower.skips = follower.skipped()
        move_positions(connection, follower.number, follower.positions)
        follower.refold(key)
    return prove_touched(follower, None)


def _all_sessions(rebuild: Rebuild, processes: int | None) -> Proof:
    rebuild.build(processes)
    copied = prove_copied(rebuild, processes)
    rebuild.begin_to_follow()
    return together(copied, prove_touched(rebuild, processes))
