"""Projectors that are killed, paused and doubled under load."""

import random
import signal
import time

import pytest
from load import load, projector
from servers import wait_until
from settling import PARTITIONS, judge, wait_until_projected, wait_until_projecting

from turnlog_cli.instance import ServerUrls
from turnlog_projector.database import connect_postgres, connect_redis
from turnlog_projector.log import LogReader

pytestmark = [pytest.mark.fault, pytest.mark.integration]
KILLS = 20


def test_killed_at_random_moments(urls: ServerUrls) -> None:
    choice = random.Random(7)
    with load(urls.redis_url or "") as writing, projector(urls, lease_seconds=1.0) as first:
        for _ in range(KILLS):
            wait_until_projecting(urls, events=1)
            time.sleep(choice.uniform(0, 0.3))  # the moment is the point
            first.kill()
            first.restart()
        record = writing.stop()
        wait_until_projected(urls)
        judge(urls, record)


def test_paused_past_its_lease_and_going_on(urls: ServerUrls) -> None:
    with (
        load(urls.redis_url or "") as writing,
        projector(urls, lease_seconds=1.0) as first,
        projector(urls, lease_seconds=1.0),
    ):
        for _ in range(3):
            wait_until_projecting(urls, events=1)
            first.send(signal.SIGSTOP)
            wait_until_all_move(urls)
            first.send(signal.SIGCONT)
        record = writing.stop()
        wait_until_projected(urls)
        judge(urls, record)


def test_several_workers_killed_in_turn(urls: ServerUrls) -> None:
    with (
        load(urls.redis_url or "") as writing,
        projector(urls, workers=2, lease_seconds=1.0) as first,
        projector(urls, workers=2, lease_seconds=1.0) as second,
    ):
        for victim in (first, second, first, second):
            wait_until_projecting(urls, events=50)
            victim.kill()
            wait_until_all_move(urls)
            victim.restart()
        record = writing.stop()
        wait_until_projected(urls)
        judge(urls, record)


def wait_until_all_move(urls: ServerUrls) -> None:
    """Until every partition that had something to do has done some of it: the ones that were left
    alone have been taken over."""
    before = _positions(urls)
    ends = _index_ends(urls)
    waiting = {p for p, end in ends.items() if end > before[p]}

    def moved() -> bool:
        now = _positions(urls)
        return all(now[p] > before[p] for p in waiting)

    wait_until(moved, "all partitions go on", timeout_s=15)


def _positions(urls: ServerUrls) -> dict[int, int]:
    with connect_postgres(urls.postgres_url or "") as connection:
        rows = connection.execute("SELECT partition, n FROM turnlog.offsets")
        return {row[0]: row[1] for row in rows}


def _index_ends(urls: ServerUrls) -> dict[int, int]:
    client = connect_redis(urls.redis_url or "")
    ends = LogReader(client, PARTITIONS).index_ends(range(PARTITIONS))
    client.close()
    return {p: end.n if end else 0 for p, end in enumerate(ends)}
