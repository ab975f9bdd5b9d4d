"""What replays and rollbacks have in common: one at a time, and nothing left behind."""

import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress

import psycopg

from turnlog_projector.database import Database, check_schema, connect_postgres, scalar
from turnlog_projector.generations import drop_generation
from turnlog_projector.init import create_generation
from turnlog_schemas.errors import TurnlogError

_LOCK = 0x7265706C6179  # "replay"

logger = logging.getLogger(__name__)


class ReplayUnderWay(TurnlogError):
    """Another replay or rollback is under way."""


@contextmanager
def replay_connection(postgres_url: str) -> Generator[Database]:
    """A connection that holds the replay lock; what earlier ones have left behind is gone.

    Raises `ReplayUnderWay`.
    """
    with connect_postgres(postgres_url, application_name="turnlog replay") as connection:
        check_schema(connection)
        _end_with_its_client(connection)
        if not scalar(connection, "SELECT pg_try_advisory_lock(%s)", _LOCK):
            raise ReplayUnderWay("another replay is under way; wait for it, or stop it")
        try:
            _drop_leftovers(connection)
            yield connection
        finally:
            if not connection.closed and not connection.broken:
                connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _end_with_its_client(connection: Database) -> None:
    """Else what was killed while an index is made keeps its lock until that is done. Not every
    system that Postgres runs on can tell."""
    with suppress(psycopg.errors.InvalidParameterValue):
        connection.execute("SET client_connection_check_interval = '2s'")


@contextmanager
def new_generation(connection: Database) -> Generator[int]:
    """A generation to build, with empty tables; gone again when that fails or is broken off."""
    with connection.transaction():
        generation = create_generation(connection, state="building")
    try:
        yield generation
    except BaseException:
        if not connection.closed and not connection.broken and generation in _building(connection):
            drop_generation(connection, generation)
        raise


def drop_abandoned(connection: Database) -> None:
    """Drop what replays have left that were killed; nothing while one is under way."""
    if _building(connection) and scalar(connection, "SELECT pg_try_advisory_lock(%s)", _LOCK):
        try:
            _drop_leftovers(connection)
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _drop_leftovers(connection: Database) -> None:
    for generation in _building(connection):
        logger.info("dropping generation %d, which a replay did not finish", generation)
        drop_generation(connection, generation)


def _building(connection: Database) -> list[int]:
    rows = connection.execute("SELECT generation FROM turnlog.generations WHERE state = 'building'")
    return [row[0] for row in rows]
