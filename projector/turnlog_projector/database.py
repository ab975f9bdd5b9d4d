"""Connections to both servers, as the projector uses them: synchronous, one a worker."""

import logging
from contextlib import suppress
from functools import cache
from typing import Any, LiteralString

import psycopg
import redis
from psycopg import Connection
from psycopg.rows import TupleRow
from redis.backoff import NoBackoff
from redis.retry import Retry

from turnlog_producers.connecting import check_url
from turnlog_projector.errors import NotReady, ServerUnavailable, UnsafeServer
from turnlog_projector.sqlfiles import migrations

Database = Connection[TupleRow]
OLDEST_POSTGRES = 150000
OLDEST_REDIS = (6, 2)

logger = logging.getLogger(__name__)


def connect_postgres(url: str, *, application_name: str = "turnlog", **options: Any) -> Database:
    """Connect in autocommit mode; transactions are opened where they are meant.

    Raises `ServerUnavailable` when the server does not answer, and `UnsafeServer` when it is old.
    """
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            application_name=application_name,
            connect_timeout=5,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            **options,
        )
    except psycopg.OperationalError as error:
        raise ServerUnavailable(f"Postgres does not answer: {one_line(error)}") from None
    except psycopg.ProgrammingError:  # its text may quote the whole address, password and all
        raise UnsafeServer(
            "TURNLOG_POSTGRES_URL cannot be used; give an address such as "
            "postgresql://me@localhost/turnlog, with / and @ of a password as %2F and %40"
        ) from None
    if connection.info.server_version < OLDEST_POSTGRES:
        version = connection.info.server_version // 10000
        connection.close()
        raise UnsafeServer(f"Postgres {version} is too old: 15 or later is needed")
    return connection


def connect_redis(url: str, *, timeout_s: float = 10.0) -> redis.Redis:
    """A client that returns stream entries as the server sends them (bytes, lists).

    It does not retry by itself: the worker's loop decides what to do after a failure. Raises
    `Misconfigured` for an address that cannot be read.
    """
    client: redis.Redis = redis.Redis.from_url(
        check_url(url),
        decode_responses=False,
        socket_timeout=timeout_s,
        socket_connect_timeout=5,
        socket_keepalive=True,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 0),
    )
    for command in ("XRANGE", "XREVRANGE"):
        client.response_callbacks.pop(command, None)
    return client


def check_redis(client: redis.Redis) -> str:
    """Refuse a server that is too old or may evict what it holds; returns the id of its run, which
    is another one after each start of the server."""
    try:
        info: dict[str, Any] = client.info()
    except redis.RedisError as error:
        raise ServerUnavailable(f"Redis does not answer: {one_line(error)}") from None
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        raise UnsafeServer(f"Redis {version} is too old: 6.2 or later is needed")
    policy = info.get("maxmemory_policy") or _asked_policy(client)
    if policy not in (None, "noeviction"):
        raise UnsafeServer(
            f"Redis may evict events: maxmemory-policy is {policy}; set it to noeviction"
        )
    return str(info.get("run_id", ""))


def _asked_policy(client: redis.Redis) -> str | None:
    """The eviction policy of a server that does not tell it in INFO, as some hosted ones; None when
    it does not tell it at all, which is said once a process."""
    policy: str | None = None
    with suppress(redis.ResponseError):
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    if policy is None:
        _warn_unknown_policy()
    return policy


@cache
def _warn_unknown_policy() -> None:
    logger.warning(
        "Redis does not tell its maxmemory-policy: make sure that it is noeviction, or events will "
        "be lost when its memory is full"
    )


def check_schema(connection: Database) -> None:
    """Refuse a database that was not initialised, or by another release."""
    newest = migrations()[-1][0]
    try:
        row = connection.execute("SELECT max(number) FROM turnlog.migrations").fetchone()
    except psycopg.errors.UndefinedTable:
        raise NotReady("the database has no Turnlog schema: run `turnlog init`") from None
    applied = row[0] if row else None
    if applied is None or applied < newest:
        raise NotReady(
            f"the database schema is at {applied}, this release needs {newest}: run `turnlog init`"
        )
    if applied > newest:
        raise NotReady(
            f"the database schema is at {applied}, this release knows {newest}: upgrade turnlog"
        )


def scalar(connection: Database, query: LiteralString, *params: Any) -> Any:
    """The first column of the first row, or None."""
    row = connection.execute(query, params or None).fetchone()
    return row[0] if row else None


def one_line(error: Exception) -> str:
    """The first line of a driver's message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
