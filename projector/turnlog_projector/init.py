"""`turnlog init`: create or upgrade what the projector needs. Safe to repeat, and to run twice at
once: an advisory lock lets one pass after the other."""

import logging
from typing import NamedTuple

from turnlog_producers.meta import LogMeta, check_partitions, ensure_meta, read_meta
from turnlog_projector.database import (
    Database,
    check_redis,
    connect_postgres,
    connect_redis,
    scalar,
)
from turnlog_projector.errors import WrongLog
from turnlog_projector.search import create_search, open_search, upgrade_search
from turnlog_projector.sqlfiles import migrations, statement

_LOCK = 0x7475726E6C6F67  # "turnlog"

logger = logging.getLogger(__name__)


class InitReport(NamedTuple):
    """What was found or made."""

    log_id: str
    partitions: int
    applied: list[str]
    """Names of the migrations that were applied now."""
    generation: int


def initialise(redis_url: str, postgres_url: str, *, partitions: int | None = None) -> InitReport:
    """Bring the schema of the database up to this release and tie it to the log in Redis.

    `partitions` only matters for a new log (default 64); a log that has another number is refused.
    Raises `Misconfigured` for that, and `WrongLog` when the database belongs to another log than
    this Redis holds.
    """
    client = connect_redis(redis_url)
    with connect_postgres(postgres_url, application_name="turnlog init") as connection:
        check_redis(client)
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        applied = _migrate(connection)
        known = connection.execute("SELECT log_id, partitions FROM turnlog.log").fetchone()
        if known is None:
            meta = ensure_meta(client, partitions=partitions)
            connection.execute(
                "INSERT INTO turnlog.log (log_id, partitions) VALUES (%s, %s)",
                (meta.log_id, meta.partitions),
            )
        else:
            meta = check_same_log(read_meta(client), LogMeta(known[0], known[1]))
            check_partitions(meta, partitions)
        connection.execute(statement("partition_rows"), {"partitions": meta.partitions})
        generation = scalar(connection, "SELECT generation FROM turnlog.active")
        if generation is None:
            with connection.transaction():
                generation = create_generation(connection, state="live")
                connection.execute(statement("generation_indexes", generation=generation))
                open_search(connection, generation)
                connection.execute("INSERT INTO turnlog.active VALUES (true, %s)", (generation,))
    client.close()
    return InitReport(meta.log_id, meta.partitions, applied, generation)


def check_same_log(in_redis: LogMeta | None, in_postgres: LogMeta) -> LogMeta:
    """Both servers must belong to one log; `turnlog repair --adopt` goes on when they do not."""
    if in_redis is None:
        raise WrongLog(
            f"Redis holds no log, but this database was projected from log {in_postgres.log_id}: "
            "start Redis with its data, or go on from the archive with `turnlog repair --adopt`"
        )
    if in_redis != in_postgres:
        raise WrongLog(
            f"Redis holds log {in_redis.log_id} of {in_redis.partitions} partitions, but this "
            f"database was projected from log {in_postgres.log_id} of {in_postgres.partitions}: "
            "check TURNLOG_REDIS_URL and TURNLOG_POSTGRES_URL, or tie them together with "
            "`turnlog repair --adopt`"
        )
    return in_redis


def create_generation(connection: Database, *, state: str) -> int:
    """Make the empty tables of a new generation, without indexes; returns its number."""
    generation = scalar(
        connection,
        "INSERT INTO turnlog.generations (state) VALUES (%s) RETURNING generation",
        state,
    )
    connection.execute(statement("generation", generation=generation))
    create_search(connection, generation)
    connection.execute(statement("generation_guard", generation=generation))
    return generation


def _migrate(connection: Database) -> list[str]:
    connection.execute(statement("bootstrap"))
    connection.execute(statement("api_role"))  # policies name it
    done = scalar(connection, "SELECT coalesce(max(number), 0) FROM turnlog.migrations")
    applied: list[str] = []
    for number, name, text in migrations():
        if number > done:
            with connection.transaction():
                connection.execute(text)
                connection.execute(
                    "INSERT INTO turnlog.migrations (number, name) VALUES (%s, %s)", (number, name)
                )
            applied.append(f"{number:04d}_{name}")
            logger.info("applied migration %04d_%s", number, name)
    connection.execute(statement("api_grants"))
    upgrade_search(connection)
    for row in connection.execute(statement("unguarded_generations")).fetchall():
        with connection.transaction():
            connection.execute(statement("generation_guard", generation=row[0]))
    return applied
