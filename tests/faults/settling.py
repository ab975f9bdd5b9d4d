"""Waiting until the projection has caught up, and judging what the stores hold then."""

import redis
from checker import check_record
from load import Acknowledged, Load
from servers import wait_until
from truth import check_everything, read_archive, read_heads

from turnlog_cli.instance import ServerUrls
from turnlog_projector.database import connect_postgres

PARTITIONS = 16


def events_in_redis(urls: ServerUrls) -> int:
    """How many events the heads count."""
    with redis.Redis.from_url(urls.redis_url or "") as client:
        return sum(head.seq for head in read_heads(client, PARTITIONS).values())


def events_archived(urls: ServerUrls) -> int:
    """How many events the offsets count."""
    with connect_postgres(urls.postgres_url or "") as connection:
        row = connection.execute("SELECT sum(pos) FROM turnlog.offsets").fetchone()
        assert row is not None
        return int(row[0])


def wait_until_projecting(urls: ServerUrls, *, events: int = 1) -> None:
    """Until so many further events have been projected."""
    before = events_archived(urls)
    wait_until(
        lambda: events_archived(urls) >= before + events,
        f"{events} more events are projected",
        timeout_s=30,
    )


def wait_until_acknowledged(writing: Load, *, events: int) -> None:
    """Until the writers were told of so many further events."""
    before = len(writing.acknowledged)
    wait_until(
        lambda: len(writing.acknowledged) >= before + events,
        f"{events} more events are acknowledged",
    )


def wait_until_projected(urls: ServerUrls, *, timeout_s: float = 15.0) -> None:
    """Within the time that a fault may take to be over: 15 s."""
    wait_until(
        lambda: events_archived(urls) == events_in_redis(urls),
        "everything in Redis is projected",
        timeout_s=timeout_s,
    )


def judge(urls: ServerUrls, record: list[Acknowledged], *, healed: bool = False) -> None:
    """Fail with everything that is wrong."""
    with (
        redis.Redis.from_url(urls.redis_url or "") as client,
        connect_postgres(urls.postgres_url or "") as connection,
    ):
        faults = check_everything(client, connection, partitions=PARTITIONS)
        faults += check_record(record, read_archive(connection), healed=healed)
    assert not faults, "\n".join(faults[:20])
