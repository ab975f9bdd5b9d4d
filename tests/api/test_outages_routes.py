"""Every route while a server is away: it works, or says when to come again; never a fault of ours.
And the end of the process, which lets go nobody in the middle."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx
import pytest
from isolation_routes import HELLO, For, call, documented, serving_only
from outage_proxy import Proxy
from served import Stage, serving
from servers import wait_until_async
from test_server import answers, free_port, start

pytestmark = pytest.mark.integration
Route = tuple[str, str]


class Outages(NamedTuple):
    api: httpx.AsyncClient
    redis: Proxy
    postgres: Proxy


@asynccontextmanager
async def with_a_session(stage: Stage) -> AsyncGenerator[Outages]:
    """The API between two servers, with the session that all examples are about."""
    redis, postgres = Proxy(stage.redis_url), Proxy(stage.postgres_url)
    await redis.up()
    await postgres.up()
    async with serving(stage, redis_url=redis.url, postgres_url=postgres.url) as api:
        turn = {**HELLO, "turn_id": "t"}
        assert (await api.post("/v1/sessions/mine/turns", json=turn)).status_code == 201
        await asyncio.to_thread(stage.project)
        yield Outages(api, redis, postgres)
    await redis.close()
    await postgres.close()


def told_so(answer: httpx.Response) -> bool:
    """Whether it says that a server is away, and when to ask again."""
    if answer.status_code != 503:
        return False
    if answer.headers["content-type"] == "application/problem+json":
        assert int(answer.headers["retry-after"]) > 0
        assert json.loads(answer.content)["request_id"]
    return True


async def statuses(api: httpx.AsyncClient, routes: list[Route]) -> dict[Route, str]:
    """How each route answers: "works", "away", or what it says instead."""
    found: dict[Route, str] = {}
    for route in routes:
        answer = await call(api, route)
        works = answer.status_code < 500
        found[route] = "works" if works else "away" if told_so(answer) else answer.text
    return found


READS = [route for route in serving_only(For.CALLERS, For.READERS) if route[0] == "GET"]
WRITES = serving_only(For.OWNERS, For.BEGINNERS)


async def test_without_postgres_every_read_says_so_and_every_write_works(stage: Stage) -> None:
    async with with_a_session(stage) as (api, _, postgres):
        await postgres.down()
        assert await statuses(api, READS) == dict.fromkeys(READS, "away")
        assert await statuses(api, WRITES) == dict.fromkeys(WRITES, "works")
        others = await statuses(api, documented())
        assert set(others.values()) <= {"works", "away"}
        await postgres.up()
        await all_work_again(api)


async def test_without_redis_every_write_says_so_and_reads_work(stage: Stage) -> None:
    async with with_a_session(stage) as (api, redis, _):
        await redis.down()
        assert await statuses(api, WRITES) == dict.fromkeys(WRITES, "away")
        reads = await statuses(api, READS)
        for route in (
            ("GET", "/v1/sessions"),
            ("GET", "/v1/sessions/{session_id}"),
            ("GET", "/v1/sessions/{session_id}/turns"),
            ("GET", "/v1/projects"),
        ):
            assert reads[route] == "works", route
        others = await statuses(api, documented())
        assert set(others.values()) <= {"works", "away"}
        await redis.up()
        await all_work_again(api)


async def test_without_both_every_route_says_so(stage: Stage) -> None:
    async with with_a_session(stage) as (api, redis, postgres):
        await redis.down()
        await postgres.down()
        routes = READS + WRITES
        assert await statuses(api, routes) == dict.fromkeys(routes, "away")
        assert (await api.get("/healthz")).status_code == 200
        await redis.up()
        await postgres.up()
        await all_work_again(api)


async def all_work_again(api: httpx.AsyncClient) -> None:
    """Within the time that a wait takes at most, 15 s."""

    async def ready() -> bool:
        answer = await api.get("/readyz")
        return answer.status_code == 200

    await wait_until_async(ready, "the API is ready again")
    assert await statuses(api, READS) == dict.fromkeys(READS, "works")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_request_on_its_way_gets_its_answer(stage: Stage, number: signal.Signals) -> None:
    """A write that waits for a projection that never comes is answered, though the process ends."""
    port = free_port()
    process = start(stage, port, TURNLOG_WAIT_SECONDS="1.5")
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:

            async def up() -> bool:
                return await asyncio.to_thread(answers, url)

            await wait_until_async(up, "the API answers", timeout_s=30)
            idle = httpx.AsyncClient(base_url=url)
            await idle.get("/healthz")  # its connection stays open, and must not delay the end
            path = "/v1/sessions/s/turns?ack=projected"
            waiting = asyncio.create_task(client.post(path, json=HELLO))

            async def appended() -> bool:
                return bool(stage.client.keys("*:s:default:s"))

            await wait_until_async(appended, "the turn is in the log")
            process.send_signal(number)
            answer = await waiting
            assert answer.status_code == 202
            assert await asyncio.to_thread(process.wait, 20) == 0
            await idle.aclose()
    finally:
        process.kill()
        _, log = process.communicate()
    assert "Traceback" not in log
