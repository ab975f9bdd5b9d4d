"""Replay: rebuild every read model from the archive into a new generation, then flip to it.

Readers and writers go on meanwhile; the flip locks the offsets for the moment that it takes to fold
what came last. The former generation is kept until it is dropped.
"""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

from turnlog_projector.database import Database, check_schema, connect_postgres, scalar
from turnlog_projector.init import create_generation
from turnlog_projector.rebuild import Progress, Rebuild, Tell
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import columns
from turnlog_schemas.errors import TurnlogError

_LOCK = 0x7265706C6179  # "replay"

logger = logging.getLogger(__name__)


class ReplayRefused(TurnlogError):
    """Another replay is under way, or the result is not what the log says."""


class ReplayReport(NamedTuple):
    """What a replay did."""

    generation: int
    """The one that is live now."""
    former: int
    """The one that was, kept."""
    events: int
    sessions: int
    parked: int
    seconds: float
    """Without the verification."""
    verify_seconds: float


def replay(postgres_url: str, *, tell: Tell, processes: int | None = None) -> ReplayReport:
    """Rebuild into a new generation and make it the live one.

    Stopped at any point before the flip, it changes nothing that anyone sees; the next replay drops
    what it left. Raises `ReplayRefused` when another one is under way or the result is incomplete.
    """
    began = time.monotonic()
    with connect_postgres(postgres_url, application_name="turnlog replay") as connection:
        check_schema(connection)
        with _only_one(connection):
            drop_leftovers(connection)
            former = scalar(connection, "SELECT generation FROM turnlog.active")
            with connection.transaction():
                generation = create_generation(connection, state="building")
            try:
                rebuild = Rebuild(connection, postgres_url, generation, tell)
                rebuild.build(processes)
                checked = time.monotonic()
                sessions = _check_complete(rebuild)
                verify_seconds = time.monotonic() - checked
                _flip(rebuild, former)
            except BaseException:
                if not connection.closed and not connection.broken:
                    drop_generation(connection, generation)
                raise
    seconds = time.monotonic() - began - verify_seconds
    return ReplayReport(
        generation,
        former,
        sum(rebuild.positions.values()),
        sessions,
        len(rebuild.parked),
        seconds,
        verify_seconds,
    )


def drop_generation(connection: Database, generation: int) -> None:
    """Drop the tables of a generation that is not live, and its row."""
    with connection.transaction():
        row = connection.execute(
            "DELETE FROM turnlog.generations WHERE generation = %s AND state <> 'live' "
            "RETURNING generation",
            (generation,),
        ).fetchone()
        if row is None:
            raise ReplayRefused(f"generation {generation} is live, or there is none of that number")
        connection.execute(statement("drop_generation", generation=generation))


def drop_leftovers(connection: Database) -> None:
    """Drop what replays that were killed have left; the caller holds the replay lock."""
    rows = connection.execute("SELECT generation FROM turnlog.generations WHERE state = 'building'")
    for (generation,) in rows.fetchall():
        logger.info("dropping generation %d, which a replay did not finish", generation)
        drop_generation(connection, generation)


@contextmanager
def _only_one(connection: Database) -> Generator[None]:
    if not scalar(connection, "SELECT pg_try_advisory_lock(%s)", _LOCK):
        raise ReplayRefused("another replay is under way; wait for it, or stop it")
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _check_complete(rebuild: Rebuild) -> int:
    """Every session must be there, folded to an event that the archive holds at that seq; returns
    how many there are."""
    reached = columns(list(rebuild.positions.items()), 2)
    parked = columns([(k.partition, k.tenant, k.session_id) for k in rebuild.parked], 3)
    row = rebuild.connection.execute(
        statement("check_generation", generation=rebuild.generation), [*reached, *parked]
    ).fetchone()
    assert row is not None
    sessions, wrong = row
    if wrong:
        raise ReplayRefused(
            f"the new generation lacks {wrong} of {sessions} sessions, or holds them folded to "
            "another event than the archive; it was not made live"
        )
    return sessions


def _flip(rebuild: Rebuild, former: int) -> None:
    """Fold the last events with the offsets locked, and make the new generation the live one: the
    next compare-and-set of every worker fails, and it goes on in the new one."""
    connection = rebuild.connection
    rebuild.tell(Progress("flip", rebuild.done, rebuild.total))
    with connection.transaction():
        connection.execute(statement("lock_offsets"))
        rebuild.catch_up()
        rebuild.fold_skipped()
        rebuild.write_parked()
        connection.execute("UPDATE turnlog.offsets SET epoch = epoch + 1")
        connection.execute("UPDATE turnlog.active SET generation = %s", (rebuild.generation,))
        connection.execute(
            "UPDATE turnlog.generations SET state = 'kept' WHERE generation = %s", (former,)
        )
        connection.execute(
            "UPDATE turnlog.generations SET state = 'live', flipped_at = now() "
            "WHERE generation = %s",
            (rebuild.generation,),
        )
