"""A server that goes away: what still works, what is said, and that all goes on by itself."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
from outage_proxy import Proxy
from served import PARTITIONS, Stage, problem, serving
from servers import wait_until_async

from turnlog_api.reading import Reader
from turnlog_producers.keys import Keys

pytestmark = pytest.mark.integration
TURNS = "/v1/sessions/s/turns"
HELLO = {"role": "user", "content": "Hello"}
STRONG = {"consistency": "strong"}


@asynccontextmanager
async def proxied(stage: Stage) -> AsyncGenerator[tuple[httpx.AsyncClient, Proxy, Proxy]]:
    """The API, its Redis and its Postgres."""
    redis, postgres = Proxy(stage.redis_url), Proxy(stage.postgres_url)
    await redis.up()
    await postgres.up()
    async with serving(stage, redis_url=redis.url, postgres_url=postgres.url) as api:
        assert (await api.post(TURNS, json=HELLO)).status_code == 201
        await asyncio.to_thread(stage.project)
        assert len((await api.get(TURNS)).json()["items"]) == 1
        yield api, redis, postgres
    await redis.close()
    await postgres.close()


async def ready(api: httpx.AsyncClient) -> bool:
    return (await api.get("/readyz")).status_code == 200


async def test_without_redis_reads_go_on_and_writes_say_when_to_come_again(
    stage: Stage,
) -> None:
    async with proxied(stage) as (api, redis, _):
        await redis.down()
        for url in (TURNS, "/v1/sessions/s", "/v1/sessions"):
            answer = await api.get(url)
            assert answer.status_code == 200
            assert "turnlog-head" not in answer.headers
        for answer in (
            await api.post(TURNS, json=HELLO),
            await api.patch("/v1/sessions/s", json={"title": "x"}),
            await api.get(TURNS, params=STRONG),
        ):
            problem(answer, 503, "redis-unavailable")
            assert int(answer.headers["retry-after"]) > 0
        unready = await api.get("/readyz")
        assert unready.status_code == 503
        assert "Redis" in unready.json()["checks"]["redis"]
        status = (await api.get("/v1/status")).json()
        assert status["redis"]["error"]
        assert status["postgres"]["version"]

        await redis.up()
        await wait_until_async(lambda: ready(api), "the API has Redis again")
        answer = await api.post(TURNS, json=HELLO)
        assert answer.json()["seq"] == 2
        assert (await api.get(TURNS, params=STRONG)).headers["turnlog-head"] == "2"


async def test_without_postgres_writes_go_on_and_reads_say_when_to_come_again(
    stage: Stage,
) -> None:
    async with proxied(stage) as (api, _, postgres):
        await postgres.down()
        answers = [
            await api.post(TURNS, json=HELLO, headers={"Idempotency-Key": "k"}),
            await api.post(TURNS, json=HELLO, params={"ack": "projected"}),
            await api.post("/v1/sessions", json={}),
            await api.patch("/v1/sessions/s", json={"title": "x"}),
            await api.post("/v1/sessions/s/clear"),
        ]
        assert [answer.status_code for answer in answers] == [201, 202, 201, 200, 201]
        assert [answer.headers.get("turnlog-seq") for answer in answers] == [None] * 5
        assert answers[-1].json()["hidden"] is None
        for url in (TURNS, "/v1/sessions/s", "/v1/sessions"):
            answer = await api.get(url)
            problem(answer, 503, "postgres-unavailable")
            assert int(answer.headers["retry-after"]) > 0
        problem(await api.get(TURNS, params=STRONG), 503, "postgres-unavailable")
        assert (await api.get("/readyz")).status_code == 503
        status = (await api.get("/v1/status")).json()
        assert status["postgres"]["error"]
        assert status["redis"]["version"]

        await postgres.up()
        await wait_until_async(lambda: ready(api), "the API has Postgres again")
        assert (await api.get(TURNS, params=STRONG)).json()["total_count"] == 0


async def test_connections_that_died_meanwhile_fail_no_request(stage: Stage) -> None:
    async with proxied(stage) as (api, redis, postgres):
        await asyncio.gather(*(api.get(TURNS) for _ in range(30)))  # so that the pool has several
        for _ in range(3):
            await redis.down()
            await postgres.down()
            await redis.up()
            await postgres.up()
            answers = await asyncio.gather(
                *(api.get(TURNS) for _ in range(20)),
                *(api.get(TURNS, params=STRONG) for _ in range(20)),
                *(api.post(TURNS, json=HELLO) for _ in range(5)),
            )
            assert {answer.status_code for answer in answers} == {200, 201}
            await asyncio.to_thread(stage.project)


async def test_a_redis_that_hangs_slows_no_read_for_long(stage: Stage) -> None:
    async with proxied(stage) as (api, redis, _):
        redis.hang()
        before = redis.connections
        for _ in range(20):
            assert (await api.get(TURNS)).status_code == 200
        assert redis.connections - before < 20, "every read has tried for itself"
        await redis.down()
        await redis.up()
        await wait_until_async(lambda: ready(api), "the API has Redis again")


async def test_a_postgres_that_hangs_is_given_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxied(stage) as (api, _, postgres):
        monkeypatch.setattr(Reader, "answer_s", 0.3)
        postgres.hang()
        for params in ({}, STRONG):
            problem(await api.get(TURNS, params=params), 503, "postgres-unavailable")
        assert (await api.post(TURNS, json=HELLO)).status_code == 201
        await postgres.down()
        await postgres.up()
        await wait_until_async(lambda: ready(api), "the API has Postgres again")
        assert (await api.get(TURNS, params=STRONG)).json()["total_count"] == 2


async def test_a_start_without_servers_is_no_failure(stage: Stage) -> None:
    redis, postgres = Proxy(stage.redis_url), Proxy(stage.postgres_url)
    for proxy in (redis, postgres):
        await proxy.up()
        await proxy.down()
    async with serving(stage, redis_url=redis.url, postgres_url=postgres.url) as api:
        assert (await api.get("/healthz")).status_code == 200
        assert (await api.get("/readyz")).status_code == 503
        problem(await api.get("/v1/sessions"), 503, "postgres-unavailable")
        problem(await api.post(TURNS, json=HELLO), 503, "redis-unavailable")
        for proxy in (redis, postgres):
            await proxy.up()
        await wait_until_async(lambda: ready(api), "the API has both servers")
        assert (await api.post(TURNS, json=HELLO)).status_code == 201
    for proxy in (redis, postgres):
        await proxy.close()


async def test_an_empty_database_is_not_ready(stage: Stage, new_postgres_url: "object") -> None:
    assert callable(new_postgres_url)
    async with serving(stage, postgres_url=new_postgres_url()) as api:
        checks = (await api.get("/readyz")).json()["checks"]
        assert any(text and "turnlog init" in text for text in checks.values()), checks
        answer = await api.get("/v1/sessions")
        assert answer.status_code == 503


async def test_another_log_is_not_ready(stage: Stage) -> None:
    stage.connection.execute("UPDATE turnlog.log SET log_id = 'another'")
    async with serving(stage) as api:
        answer = await api.get("/readyz")
        assert answer.status_code == 503
        assert "another" in answer.json()["checks"]["log"]
        assert not (await api.get("/v1/status")).json()["same_log"]


async def test_reads_follow_the_active_generation(stage: Stage) -> None:
    async with serving(stage) as api:
        await api.post(TURNS, json=HELLO)
        await asyncio.to_thread(stage.project)
        assert (await api.get(TURNS)).json()["total_count"] == 1
        stage.connection.execute("CREATE SCHEMA g7")
        for table in ("sessions", "turns", "branches"):
            stage.connection.execute(
                f"CREATE TABLE g7.{table} (LIKE g1.{table} INCLUDING ALL)"  # pyright: ignore[reportArgumentType]
            )
        stage.connection.execute("GRANT USAGE ON SCHEMA g7 TO turnlog_api")
        stage.connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA g7 TO turnlog_api")
        stage.connection.execute(
            "INSERT INTO turnlog.generations OVERRIDING SYSTEM VALUE VALUES (7, 'live', now())"
        )
        stage.connection.execute("UPDATE turnlog.active SET generation = 7")
        problem(await api.get(TURNS), 404, "not-found")
        stage.connection.execute("UPDATE turnlog.active SET generation = 1")
        stage.connection.execute("DROP SCHEMA g7 CASCADE")
        assert (await api.get(TURNS)).json()["total_count"] == 1


async def test_status_counts_what_is_behind(stage: Stage) -> None:
    async with serving(stage) as api:
        await api.post("/v1/sessions", json={"session_id": "s"}, headers={"Turnlog-User": "u"})
        await asyncio.to_thread(stage.project)
        for _ in range(3):
            await api.post(TURNS, json=HELLO)
        status = (await api.get("/v1/status")).json()
        partition = Keys("default", "s", PARTITIONS).partition
        assert status["lag"] == {"entries": 3, "events": 3, "exact": True}
        assert status["partitions"][partition] == {
            "partition": partition,
            "index_end": 4,
            "offset": 1,
            "entries_behind": 3,
            "events_behind": 3,
            "exact": True,
        }
        assert status["totals"]["sessions"] == 1
        assert status["totals"]["events_archived"] == 1
        assert status["same_log"]
        assert status["redis"]["used_memory_bytes"] > 0
        assert status["postgres"]["archive_bytes"] > 0
        await asyncio.to_thread(stage.project)
        assert (await api.get("/v1/status")).json()["lag"]["events"] == 0
