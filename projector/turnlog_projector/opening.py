"""Both servers of one log, for a command."""

from collections.abc import Generator
from contextlib import closing, contextmanager

from turnlog_producers.meta import LogMeta, read_meta
from turnlog_projector.database import (
    Database,
    check_redis,
    check_schema,
    connect_postgres,
    connect_redis,
)
from turnlog_projector.errors import NotReady
from turnlog_projector.init import check_same_log
from turnlog_projector.log import LogReader


@contextmanager
def opened(
    redis_url: str, postgres_url: str, *, application_name: str
) -> Generator[tuple[LogReader, Database]]:
    """Connections to both, once it is sure that they belong to one log.

    Raises `WrongLog`, `NotReady`, `UnsafeServer`, `ServerUnavailable`.
    """
    with (
        closing(connect_redis(redis_url)) as client,
        connect_postgres(postgres_url, application_name=application_name) as connection,
    ):
        check_schema(connection)
        check_redis(client)
        row = connection.execute("SELECT log_id, partitions FROM turnlog.log").fetchone()
        if row is None:
            raise NotReady("the database belongs to no log yet: run `turnlog init`")
        meta = check_same_log(read_meta(client), LogMeta(*row))
        yield LogReader(client, meta.partitions), connection
