"""Many writers on one session: they interleave, and never corrupt or lose."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from bench import Bench

from turnlog_producers import AsyncTurnLog, TurnLog

pytestmark = pytest.mark.integration

_WRITERS = 32
_TURNS = 25


def test_32_threads(redis_url: str) -> None:
    with TurnLog.connect(redis_url, tenant="acme", partitions=8) as log:
        chat = log.session("s-1", user_id="u-1")

        def write(writer: int) -> list[int]:
            return [chat.append_turn("user", f"{writer} {n}").seq for n in range(_TURNS)]

        with ThreadPoolExecutor(_WRITERS) as threads:
            seqs = list(threads.map(write, range(_WRITERS)))
        _check(Bench(log, redis.Redis.from_url(redis_url)), seqs)


async def test_32_clients(redis_url: str) -> None:
    async def write(writer: int) -> list[int]:
        async with AsyncTurnLog.connect(redis_url, tenant="acme", partitions=8) as log:
            chat = log.session("s-1", user_id="u-1")
            return [(await chat.append_turn("user", f"{writer} {n}")).seq for n in range(_TURNS)]

    seqs = await asyncio.gather(*(write(writer) for writer in range(_WRITERS)))
    log = AsyncTurnLog.connect(redis_url, tenant="acme", partitions=8)
    _check(Bench(log, redis.Redis.from_url(redis_url)), seqs)


def _check(bench: Bench, seqs: list[list[int]]) -> None:
    entries = bench.entries()
    total = _WRITERS * _TURNS + 1  # one session.started, whoever came first
    assert [entry.id for entry in entries] == [f"{seq}-0" for seq in range(1, total + 1)]
    assert bench.types().count("session.started") == 1
    for writer, own in enumerate(seqs):
        assert own == sorted(own)
        contents = [entries[seq - 1].event["data"]["content"] for seq in own]
        assert contents == [f"{writer} {n}" for n in range(_TURNS)]
    clocks = [entry.recorded_at for entry in entries]
    assert clocks == sorted(clocks)
    bench.server.close()
