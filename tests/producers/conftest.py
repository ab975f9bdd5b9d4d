"""Fixtures of the producers' tests."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import fakeredis
import pytest
import redis

from turnlog_producers import AsyncTurnLog, TurnLog

sys.path.insert(0, str(Path(__file__).parent))

from bench import Bench

_REAL = [
    pytest.param("sync-real", marks=pytest.mark.integration),
    pytest.param("async-real", marks=pytest.mark.integration),
]


@pytest.fixture(params=["sync-fake", "async-fake", *_REAL])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Both clients, each on fakeredis and on a real server: all must behave alike."""
    kind, _, server = request.param.partition("-")
    log: TurnLog | AsyncTurnLog
    if server == "real":
        url = request.getfixturevalue("redis_url")
        raw = redis.Redis.from_url(url)
        client = TurnLog if kind == "sync" else AsyncTurnLog
        log = client.connect(url, tenant="acme", partitions=8)
    else:
        fake = fakeredis.FakeServer()
        raw = fakeredis.FakeRedis(server=fake)
        if kind == "sync":
            log = TurnLog(fakeredis.FakeRedis(server=fake), tenant="acme", partitions=8)
        else:
            log = AsyncTurnLog(fakeredis.FakeAsyncRedis(server=fake), tenant="acme", partitions=8)
    made = Bench(log, raw)
    yield made
    await made.close()
