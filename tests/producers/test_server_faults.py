"""Redis dying, full or read-only under load, with both clients."""

import asyncio
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from bench import Bench, settled
from servers import binaries, reachable_folder, wait_until, wait_until_async

from turnlog_cli.embedded import EmbeddedServers
from turnlog_producers import AsyncTurnLog, TurnLog, Unavailable

pytestmark = [pytest.mark.integration, pytest.mark.fault]

_SESSIONS = 40
_TURNS = 60


@pytest.fixture
def server() -> Iterator[EmbeddedServers]:
    """A Redis of this test's own, which may be killed."""
    folder = reachable_folder()
    try:
        with EmbeddedServers(
            folder, appendfsync="always", with_postgres=False, **binaries()
        ) as running:
            yield running
    finally:
        shutil.rmtree(folder)


async def test_restart_under_load_is_not_noticed(server: EmbeddedServers) -> None:
    url = server.urls.redis_url
    log = AsyncTurnLog.connect(url, tenant="acme", partitions=8, retry_s=60.0)
    done = 0

    async def converse(number: int) -> list[int]:
        nonlocal done
        chat = log.session(f"s-{number}", user_id="u-1")
        seqs: list[int] = []
        for turn in range(_TURNS):
            seqs.append((await chat.append_turn("user", f"{turn}")).seq)
            done += 1
        return seqs

    tasks = [asyncio.create_task(converse(number)) for number in range(_SESSIONS)]
    for part in (8, 4):
        await _at_least(lambda: done, _SESSIONS * _TURNS // part)
        assert done < _SESSIONS * _TURNS
        await asyncio.to_thread(_kill_and_restart, server)
    seqs = await asyncio.gather(*tasks)
    await log.close()
    assert seqs == [list(range(2, _TURNS + 2))] * _SESSIONS
    _check_all_once(Bench(log, redis.Redis.from_url(url)))


async def test_resending_what_failed_writes_everything_once(server: EmbeddedServers) -> None:
    url = server.urls.redis_url
    log = AsyncTurnLog.connect(url, tenant="acme", partitions=8, retry_s=0.0)
    acknowledged: Counter[str] = Counter()
    failures = 0

    async def converse(number: int) -> None:
        nonlocal failures
        chat = log.session(f"s-{number}", user_id="u-1")
        for turn in range(_TURNS):
            event_id: str | None = None
            while True:
                try:
                    reply = await chat.append_turn("user", f"{turn}", event_id=event_id)
                except Unavailable as error:
                    failures += 1
                    (event_id,) = error.event_ids
                    await asyncio.sleep(0.05)
                else:
                    acknowledged[reply.event_id] += 1
                    break

    tasks = [asyncio.create_task(converse(number)) for number in range(_SESSIONS)]
    await _at_least(lambda: len(acknowledged), _SESSIONS * _TURNS // 4)
    await asyncio.to_thread(_kill_and_restart, server)
    await asyncio.gather(*tasks)
    await log.close()
    assert failures
    bench = Bench(log, redis.Redis.from_url(url))
    stored = {
        entry.event_id
        for number in range(_SESSIONS)
        for entry in bench.entries(f"s-{number}")
        if entry.event["type"] == "turn.appended"
    }
    assert stored == set(acknowledged)
    _check_all_once(bench)


def test_threads_over_a_restart(server: EmbeddedServers) -> None:
    url = server.urls.redis_url
    with TurnLog.connect(url, tenant="acme", partitions=8, retry_s=60.0) as log:
        done = [0] * 8

        def converse(number: int) -> None:
            for session in range(number * 5, number * 5 + 5):
                chat = log.session(f"s-{session}", user_id="u-1")
                for turn in range(_TURNS):
                    chat.append_turn("user", f"{turn}")
                    done[number] += 1

        threads = [threading.Thread(target=converse, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda: sum(done) > 600, "the threads have appended 600 turns", 60.0)
        _kill_and_restart(server)
        for thread in threads:
            thread.join()
        assert sum(done) == _SESSIONS * _TURNS
        _check_all_once(Bench(log, redis.Redis.from_url(url)))


@pytest.mark.parametrize("kind", [TurnLog, AsyncTurnLog])
@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("maxmemory", "1", "is out of memory"),
        ("min-replicas-to-write", "1", "has too few replicas"),
        ("replicaof", "127.0.0.1 1", "is a read-only replica: give the address of the primary"),
    ],
)
async def test_server_that_cannot_write(
    server: EmbeddedServers, kind: Any, setting: str, value: str, text: str
) -> None:
    with redis.Redis.from_url(server.urls.redis_url) as admin:
        log = kind.connect(server.urls.redis_url, tenant="acme", partitions=8, retry_s=0.3)
        bench = Bench(log, admin)
        await settled(bench.session().clear())
        if setting == "replicaof":
            admin.replicaof(*value.split())
        else:
            admin.config_set(setting, value)
        with pytest.raises(Unavailable, match=text):
            await settled(bench.session().clear(event_id="e-2"))
        if setting == "replicaof":
            admin.replicaof("NO", "ONE")
        else:
            admin.config_set(setting, "0")
        reply = await settled(bench.session().clear(event_id="e-2"))
        assert (reply.seq, reply.repeat) == (2, False)
        await bench.close()


def _kill_and_restart(server: EmbeddedServers) -> None:
    server.kill_redis()
    server.start_redis()


async def _at_least(count: Any, wanted: int) -> None:
    async def reached() -> bool:
        return count() >= wanted

    await wait_until_async(reached, f"{wanted} turns are appended", 60.0)


def _check_all_once(bench: Bench) -> None:
    for number in range(_SESSIONS):
        entries = bench.entries(f"s-{number}")
        assert [entry.id for entry in entries] == [f"{seq}-0" for seq in range(1, _TURNS + 2)]
        assert [entry.event["type"] for entry in entries[:1]] == ["session.started"]
        contents = [entry.event["data"]["content"] for entry in entries[1:]]
        assert contents == [f"{turn}" for turn in range(_TURNS)]
    bench.server.close()
