"""`turnlog trim`: trim a whole log, or a part of it, now."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import redis
from redis import Redis

from turnlog_producers.keys import heads_key
from turnlog_producers.meta import LogMeta, read_meta
from turnlog_projector.database import (
    Database,
    check_redis,
    check_schema,
    connect_postgres,
    connect_redis,
    one_line,
)
from turnlog_projector.errors import NotReady, ServerUnavailable
from turnlog_projector.init import check_same_log
from turnlog_projector.log import LogReader, SessionKey
from turnlog_projector.trim import Trimmed, Trimmer
from turnlog_projector.trim_marks import TrimRule, cuts, mark
from turnlog_schemas.ids import partition_of

_FREED_WITHIN_S = 10.0


class TrimProgress(NamedTuple):
    """Where a trim is; all of it counts sessions."""

    done: int
    total: int
    trimmed: Trimmed


class TrimReport(NamedTuple):
    """What a trim did, or would do."""

    trimmed: Trimmed
    bytes_before: int
    """What Redis used, as it tells itself (used_memory)."""
    bytes_after: int
    seconds: float


def trim_log(
    redis_url: str,
    postgres_url: str,
    rule: TrimRule,
    *,
    tell: Callable[[TrimProgress], None],
    tenant: str | None = None,
    session_id: str | None = None,
    dry_run: bool = False,
) -> TrimReport:
    """Trim what the rule says: everything, one tenant's, or one session of it. A worker that trims
    at the same time does no harm, and neither does breaking off.

    Raises `WrongLog`, `NotReady`, `UnsafeServer`, and `ServerUnavailable` for a server that goes
    away meanwhile: what is trimmed by then is trimmed.
    """
    began = time.monotonic()
    with (
        closing(connect_redis(redis_url)) as client,
        connect_postgres(postgres_url, application_name="turnlog trim") as connection,
    ):
        check_schema(connection)
        check_redis(client)
        log = LogReader(client, _check_log(client, connection).partitions)
        try:
            before = _used(client)
            mark(connection, range(log.partitions), rule.interval)
            trimmer = Trimmer(log, connection, rule, dry_run=dry_run)
            if tenant is not None and session_id is not None:
                partition = partition_of(tenant, session_id, log.partitions)
                key = SessionKey(partition, tenant, session_id)
                for cut in cuts(connection, [partition], rule):
                    trimmer.session(cut, key)
            else:
                for progress in _all(log, connection, rule, trimmer, tenant):
                    tell(progress)
            after = before if dry_run else _used_when_freed(client)
        except redis.RedisError as error:
            raise ServerUnavailable(f"Redis does not answer: {one_line(error)}") from None
    return TrimReport(trimmer.done, before, after, time.monotonic() - began)


def _check_log(client: Redis, connection: Database) -> LogMeta:
    row = connection.execute("SELECT log_id, partitions FROM turnlog.log").fetchone()
    if row is None:
        raise NotReady("the database belongs to no log yet: run `turnlog init`")
    return check_same_log(read_meta(client), LogMeta(row[0], row[1]))


def _all(
    log: LogReader, connection: Database, rule: TrimRule, trimmer: Trimmer, tenant: str | None
) -> Iterator[TrimProgress]:
    partitions = range(log.partitions)
    pipe = log.client.pipeline(transaction=False)
    for partition in partitions:
        pipe.hlen(heads_key(partition))
    total, done = sum(pipe.execute()), 0
    for cut in cuts(connection, partitions, rule):
        for looked_at in trimmer.partition(cut, tenant=tenant):
            done += looked_at
            yield TrimProgress(min(done, total), total, trimmer.done)


def _used(client: Redis) -> int:
    info: dict[str, Any] = client.info("memory")
    return info["used_memory"]


def _used_when_freed(client: Redis) -> int:
    """What Redis uses once it has given back what was unlinked, which takes it a moment."""
    deadline = time.monotonic() + _FREED_WITHIN_S
    while True:
        info: dict[str, Any] = client.info("memory")
        if not info.get("lazyfree_pending_objects") or time.monotonic() > deadline:
            return info["used_memory"]
        time.sleep(0.02)
