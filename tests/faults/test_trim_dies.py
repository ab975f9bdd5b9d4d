"""Trimming that is killed at any moment, beside writers, and on a Redis that is full."""

import random
import subprocess
import sys
import time

import pytest
import redis
from load import load, projector
from servers import wait_until
from settling import PARTITIONS, judge, wait_until_projected, wait_until_projecting
from truth import read_heads

from turnlog_cli.embedded import EmbeddedServers
from turnlog_cli.instance import ServerUrls
from turnlog_projector.database import connect_redis

pytestmark = [pytest.mark.fault, pytest.mark.integration]

KILLS = 10


def trim(urls: ServerUrls) -> "subprocess.Popen[bytes]":
    """`turnlog trim` of all that is archived, in a process of its own."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "turnlog_cli.main", "trim", "--older-than", "0"),
            *("--keep", "0", "--redis-url", urls.redis_url or ""),
            *("--postgres-url", urls.postgres_url or ""),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def warm(urls: ServerUrls) -> int:
    """How many events Redis still holds."""
    with redis.Redis.from_url(urls.redis_url or "") as client:
        heads = read_heads(client, PARTITIONS).values()
        return sum(head.seq - head.base for head in heads)


def test_killed_at_random_moments(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that trim at once what they have archived, and commands that do the same."""
    monkeypatch.setenv("TURNLOG_TRIM_AFTER_DAYS", "1e-6")
    monkeypatch.setenv("TURNLOG_TRIM_KEEP_EVENTS", "0")
    choice = random.Random(11)
    with load(urls.redis_url or "") as writing, projector(urls, lease_seconds=1.0) as first:
        for _ in range(KILLS):
            wait_until_projecting(urls, events=1)
            command = trim(urls)
            time.sleep(choice.uniform(0.5, 1.5))  # the moment is the point
            first.kill()
            command.kill()
            command.wait()
            first.restart()
        record = writing.stop()
        wait_until_projected(urls)
        wait_until(lambda: warm(urls) == 0, "every session is cold", timeout_s=30)
        judge(urls, record)


def test_a_redis_that_is_full_gets_room(servers: EmbeddedServers) -> None:
    urls = servers.urls
    client = connect_redis(urls.redis_url or "")
    with load(urls.redis_url or "") as writing:
        wait_until(lambda: len(writing.acknowledged) > 500, "some turns are acknowledged")
        record = writing.stop()
    with projector(urls):
        wait_until_projected(urls)
    client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
    with pytest.raises(redis.OutOfMemoryError):
        client.set("more", "x")
    before = client.info("memory")["used_memory"]
    assert trim(urls).wait() == 0
    assert warm(urls) == 0
    assert client.info("memory")["used_memory"] < before
    client.config_set("maxmemory", 0)
    client.close()
    judge(urls, record)
