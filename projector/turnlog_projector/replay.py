"""Replay: rebuild every read model from the archive into a new generation, prove that it holds what
the log folds to, then flip to it.

Readers and writers go on meanwhile; the flip locks the offsets for the moment that it takes to fold
what came last. The former generation is kept until it is dropped: `rollback` goes back to it.
"""

import time
from typing import NamedTuple

from turnlog_projector.digest import written
from turnlog_projector.errors import MassParking
from turnlog_projector.flip import flip, follow_closely
from turnlog_projector.following import Tell
from turnlog_projector.generations import active_generation, find_generation
from turnlog_projector.proving import prove_copied, prove_touched, together
from turnlog_projector.rebuild import Rebuild
from turnlog_projector.replaying import new_generation, replay_connection
from turnlog_projector.search_build import build_search
from turnlog_projector.settings import Settings

PARK_LIMIT: int = Settings.model_fields["park_limit"].default
PARK_PERCENT: float = Settings.model_fields["park_percent"].default


class ReplayReport(NamedTuple):
    """What a replay did."""

    generation: int
    """The one that is live now."""
    former: int
    """The one that was, kept."""
    digest: str
    """Of all sessions as they were when the replay began: 32 hexadecimal digits. The same as that
    of `turnlog verify`, unless something was appended since."""
    events: int
    sessions: int
    parked: int
    seconds: float
    """Without the verification, and without making it searchable."""
    verify_seconds: float
    search_seconds: float


def replay(
    postgres_url: str,
    *,
    tell: Tell,
    processes: int | None = None,
    park_limit: int = PARK_LIMIT,
    park_percent: float = PARK_PERCENT,
) -> ReplayReport:
    """Rebuild into a new generation and make it the live one.

    Stopped at any point before the flip, it changes nothing that anyone sees; killed, it leaves
    tables that the next one drops. Raises `ReplayUnderWay`; `NotProven` when the result is not what
    the log says; `MassParking` when it parks at least `park_limit` (0: any number) and
    `park_percent` of the sessions that are not parked now; `ArchiveDamaged`.
    """
    began = time.monotonic()
    with (
        replay_connection(postgres_url) as connection,
        new_generation(connection) as generation,
    ):
        former = active_generation(connection)
        found = find_generation(connection, generation)
        rebuild = Rebuild(connection, postgres_url, found, tell)
        rebuild.build(processes)
        _refuse_masses(rebuild, park_limit, park_percent)
        copied = prove_copied(rebuild, processes)
        rebuild.begin_to_follow()
        large = prove_touched(rebuild, processes)
        search_seconds = build_search(rebuild, processes)
        follow_closely(rebuild)
        touched = prove_touched(rebuild, processes)
        flip(rebuild, former)
    proof = together(copied, large)
    verify_seconds = proof.seconds + touched.seconds
    return ReplayReport(
        generation,
        former,
        written(proof.digest),
        sum(rebuild.positions.values()),
        proof.sessions,
        len(rebuild.parked),
        time.monotonic() - began - verify_seconds - search_seconds,
        verify_seconds,
        search_seconds,
    )


def _refuse_masses(rebuild: Rebuild, limit: int, percent: float) -> None:
    """A faulty release must not park the world by a replay either."""
    parked = rebuild.newly_parked()
    sessions = rebuild.copied.sessions + len(rebuild.large)
    if limit and len(parked) >= limit and len(parked) * 100 >= percent * sessions:
        first = parked[0]
        raise MassParking(
            f"{len(parked):,} of {sessions:,} sessions that are folded now would be parked, such "
            f"as {first.key.field} at seq {first.seq}: {first.error}. Nothing was made live. "
            "Replay with a mended release; if these sessions are corrupt indeed, raise "
            "TURNLOG_PARK_LIMIT"
        )
