"""What operators ask, by both clients."""

import pytest
from client_bench import Bench, listed, settled
from live_api import projecting
from servers import wait_until_async

from turnlog_client import Conflict, NotFound

pytestmark = pytest.mark.integration


async def test_health_readiness_status_and_metrics(bench: Bench) -> None:
    client = bench.client
    assert await settled(client.health()) == {"status": "ok"}
    assert (await settled(client.ready()))["ready"]
    status = await settled(client.status())
    assert status["lag"]["events"] == 0
    assert status["redis"]["error"] is None
    assert "turnlog_http_requests" in await settled(client.metrics())


async def test_rebuilds_are_asked_for_watched_and_cancelled(bench: Bench) -> None:
    client = bench.client
    await bench.say("s", "one")
    asked = await settled(client.start_rebuild(idempotency_key="k"))
    assert asked["state"] == "waiting"
    again = await settled(client.start_rebuild(idempotency_key="k"))
    assert again["rebuild_id"] == asked["rebuild_id"]
    with pytest.raises(Conflict) as raised:
        await settled(client.start_rebuild(session_id="s"))
    assert raised.value.members == {"rebuild_id": asked["rebuild_id"]}
    assert (await settled(client.cancel_rebuild(asked["rebuild_id"])))["cancel"]
    with projecting(bench.stage.redis_url, bench.stage.postgres_url):

        async def ended() -> str | None:
            rebuild = await settled(client.rebuild(asked["rebuild_id"]))
            return rebuild["state"] if rebuild["ended_at"] else None

        assert await wait_until_async(ended, "the rebuild has ended") == "cancelled"
    [shown] = await listed(client.rebuilds(page_size=1))
    assert shown["rebuild_id"] == asked["rebuild_id"]
    named = await settled(client.start_rebuild(session_id="s", until=1, name="then"))
    assert (named["session_id"], named["until"], named["name"]) == ("s", "1", "then")
    with pytest.raises(NotFound):
        await settled(client.rebuild(10**6))


async def test_a_write_can_wait_for_the_read_models(bench: Bench) -> None:
    with projecting(bench.stage.redis_url, bench.stage.postgres_url):
        answer = await settled(bench.client.answers.append_turn("s", "user", "1", ack="projected"))
        assert answer.status == 201
        assert answer.freshness.seq >= answer.value["seq"]
        assert len(await listed(bench.client.turns("s"))) == 1
