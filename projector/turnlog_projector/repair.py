"""`turnlog repair`: go on deliberately with a Redis that is not the one Postgres knows, or without
events that are lost."""

from redis import RedisError

from turnlog_producers.keys import META
from turnlog_producers.meta import LogMeta, read_meta
from turnlog_projector.accepting import accept_loss
from turnlog_projector.database import (
    check_redis,
    check_schema,
    connect_postgres,
    connect_redis,
    one_line,
)
from turnlog_projector.errors import NotReady, ServerUnavailable, WrongLog
from turnlog_projector.init import check_same_log
from turnlog_projector.log import LogReader
from turnlog_projector.projection import Projection


def adopt(redis_url: str, postgres_url: str) -> str:
    """Tie the log in Redis and the database together; says what it did.

    A Redis without one takes the identity that the database knows, and the projector's audit gives
    it back what archived events it lacks. Of a Redis that holds another log, the database takes the
    identity; the sessions of both are merged by the audit. Raises `WrongLog` when the partition
    counts differ.
    """
    client = connect_redis(redis_url)
    with connect_postgres(postgres_url, application_name="turnlog repair") as connection:
        check_schema(connection)
        check_redis(client)
        row = connection.execute("SELECT log_id, partitions FROM turnlog.log").fetchone()
        if row is None:
            raise NotReady("the database belongs to no log yet: run `turnlog init`")
        known = LogMeta(row[0], row[1])
        try:
            found = read_meta(client)
            if found is None:
                client.set(META, known.format(), nx=True)
                return f"Redis held no log; it belongs to log {known.log_id} now"
        except RedisError as error:
            raise ServerUnavailable(f"Redis does not answer: {one_line(error)}") from None
        if found == known:
            return f"Redis and Postgres both belong to log {known.log_id}; nothing to do"
        if found.partitions != known.partitions:
            raise WrongLog(
                f"the log in Redis has {found.partitions} partitions, the database was projected "
                f"with {known.partitions}: they cannot be merged"
            )
        connection.execute("UPDATE turnlog.log SET log_id = %s", (found.log_id,))
        return f"the database belongs to log {found.log_id} of this Redis now"


def go_on_without(redis_url: str, postgres_url: str, tenant: str, session_id: str) -> int:
    """Accept that events of a session are lost; returns how many. Raises `NothingLost`, and
    `WrongLog` when the two servers do not belong together."""
    client = connect_redis(redis_url)
    with connect_postgres(postgres_url, application_name="turnlog repair") as connection:
        check_schema(connection)
        row = connection.execute("SELECT log_id, partitions FROM turnlog.log").fetchone()
        if row is None:
            raise NotReady("the database belongs to no log yet: run `turnlog init`")
        try:
            meta = check_same_log(read_meta(client), LogMeta(row[0], row[1]))
            projection = Projection(LogReader(client, meta.partitions), connection)
            return accept_loss(projection, tenant, session_id)
        except RedisError as error:
            raise ServerUnavailable(f"Redis does not answer: {one_line(error)}") from None
