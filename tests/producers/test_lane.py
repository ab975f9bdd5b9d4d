"""The async client's one connection: order, company, cancellation, closing."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis
from bench import Bench
from servers import wait_until_async

from turnlog_producers import AsyncTurnLog, Conflict, LogDamaged, Misconfigured

pytestmark = pytest.mark.integration


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[AsyncTurnLog]:
    url = f"{redis_url}?client_name=lane"
    async with AsyncTurnLog.connect(url, tenant="acme", partitions=8) as made:
        yield made


@pytest.fixture
async def bench(log: AsyncTurnLog, redis_url: str) -> AsyncIterator[Bench]:
    made = Bench(log, redis.Redis.from_url(redis_url))
    yield made
    made.server.close()


async def test_calls_on_a_session_keep_their_order(bench: Bench) -> None:
    chat = bench.session()
    replies = await asyncio.gather(*(chat.append_turn("user", f"{n}") for n in range(1500)))
    assert [reply.seq for reply in replies] == list(range(1, 1501))
    assert [event["data"]["content"] for event in bench.events()] == [f"{n}" for n in range(1500)]


async def test_all_tasks_share_one_connection(bench: Bench) -> None:
    await asyncio.gather(*(bench.session(f"s-{n}").clear() for n in range(300)))
    clients = bench.server.client_list()
    assert sum(client["name"] == "lane" for client in clients) == 1


async def test_order_is_kept_over_broken_connections(bench: Bench) -> None:
    chat = bench.session()
    await chat.clear()
    tasks = [asyncio.create_task(chat.append_turn("user", f"{n}")) for n in range(3000)]
    kills = 0
    while not tasks[-1].done():
        for client in bench.server.client_list():
            if client["name"] == "lane" and kills < 5:
                kills += bench.server.client_kill_filter(_id=client["id"])
        await asyncio.sleep(0.005)
    replies = await asyncio.gather(*tasks)
    assert [reply.seq for reply in replies] == list(range(2, 3002))
    assert bench.server.xlen(bench.keys().stream) == 3001
    assert kills


async def test_cancelled_tasks_leave_the_others_alone(bench: Bench) -> None:
    chat = bench.session()
    tasks = [asyncio.create_task(chat.append_turn("user", f"{n}")) for n in range(200)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    events = {event["event_id"]: event for event in bench.events()}
    for number, task in enumerate(tasks):
        if number % 2:
            assert events[task.result().event_id]["data"]["content"] == f"{number}"
    after = await chat.append_turn("user", "after")
    assert after.seq == len(bench.events())


async def test_timed_out_callers_do_not_shift_the_replies(bench: Bench) -> None:
    chat = bench.session()

    async def hurried(number: int) -> None:
        async with asyncio.timeout(0.0005 * (number % 4)):
            reply = await chat.append_turn("user", f"{number}", event_id=f"e-{number}")
            assert reply.event_id == f"e-{number}"

    await asyncio.gather(*(hurried(n) for n in range(400)), return_exceptions=True)
    entries = bench.entries()
    for entry in entries[:: max(len(entries) // 20, 1)]:
        reply = await chat.clear(event_id=entry.event_id)
        assert (f"{reply.seq}-0", reply.repeat) == (entry.id, True)


async def test_poisoned_command_fails_alone(bench: Bench) -> None:
    await bench.session("lost").clear()
    bench.server.delete(bench.keys("lost").stream)
    bench.server.set(bench.keys("alien").stream, "text")
    good = [bench.session(f"s-{n % 3}").append_turn("user", "Hi") for n in range(60)]
    bad = [
        bench.session("lost").clear(),
        bench.session("alien").clear(),
        bench.session("s-0").clear(expected_seq=1000),
    ]
    calls = [*good[:30], *bad, *good[30:]]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results[30:33]] == [LogDamaged, Misconfigured, Conflict]
    assert [len(bench.types(f"s-{n}")) for n in range(3)] == [20, 20, 20]


async def test_close_sends_what_waits(bench: Bench, log: AsyncTurnLog) -> None:
    chat = bench.session()
    tasks = [asyncio.create_task(chat.append_turn("user", f"{n}")) for n in range(300)]
    await chat.clear()
    await log.close()
    assert all(task.done() for task in tasks)
    assert len(bench.types()) == 301
    await log.close()
    with pytest.raises(RuntimeError, match="this AsyncTurnLog is closed"):
        await chat.clear()
    await wait_until_async(lambda: _gone(bench), "the connection is closed")


async def _gone(bench: Bench) -> bool:
    return not any(client["name"] == "lane" for client in bench.server.client_list())


async def test_large_turns_at_once(bench: Bench) -> None:
    text = "x" * 900_000
    replies = await asyncio.gather(
        *(bench.session(f"s-{n % 4}").append_turn("user", text) for n in range(24))
    )
    assert sorted(reply.seq for reply in replies) == sorted(list(range(1, 7)) * 4)


def test_one_client_in_two_event_loops(redis_url: str) -> None:
    log = AsyncTurnLog.connect(redis_url)

    async def append() -> int:
        return (await log.session("s").clear()).seq

    async def append_and_close() -> int:
        async with log:
            return await append()

    assert asyncio.run(append()) == 1
    assert asyncio.run(append_and_close()) == 2


def test_closing_a_client_that_was_never_used(redis_url: str) -> None:
    asyncio.run(AsyncTurnLog.connect(redis_url).close())
