"""A network and servers that fail, by both clients: what is lost, what is written, what is told."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from client_bench import Bench, Kind, answering, listed, made, settled
from live_api import listening
from losing_proxy import Proxy
from outage_proxy import Proxy as OutageProxy
from served import Stage

from turnlog_cli.ports import free_port
from turnlog_client import ServerFailed, Unavailable

pytestmark = pytest.mark.integration


@pytest.fixture
async def lossy(kind: Kind, stage: Stage, url: str) -> AsyncIterator[tuple[Bench, Proxy]]:
    """A client behind a network that loses replies."""
    with Proxy(url) as proxy:
        bench = Bench(made(kind, proxy.url, timeout_s=1.0), stage)
        yield bench, proxy
        await bench.close()


async def test_a_write_whose_reply_is_lost_is_done_once(lossy: tuple[Bench, Proxy]) -> None:
    bench, proxy = lossy
    client = bench.client
    proxy.mood = "cut once"
    written = await settled(client.append_turn("s", "user", "one"))
    assert (written["seq"], written["repeat"]) == (1, True)
    turn_id = written["turn_id"]
    bench.stage.project()
    for write in (
        lambda: client.create_session("other", title="x"),
        lambda: client.rename_session("s", "x", expected_seq=1),
        lambda: client.edit_turn("s", turn_id, "uno"),
        lambda: client.annotate_turn("s", turn_id, "rating", 1, by="u"),
        lambda: client.retract_turn("s", turn_id),
        lambda: client.clear_session("s"),
        lambda: client.delete_session("s"),
        lambda: client.restore_session("s"),
        lambda: client.erase_session("s"),
    ):
        lost = proxy.lost
        proxy.mood = "cut once"
        assert (await settled(write()))["repeat"]
        assert proxy.lost == lost + 1
        bench.stage.project()
    assert await settled(client.answers.health())
    [event] = await listed(client.events("other"))
    assert event["type"] == "session.started"


async def test_every_turn_of_many_is_written_once(lossy: tuple[Bench, Proxy]) -> None:
    bench, proxy = lossy
    turns = [{"role": "user", "content": str(number)} for number in range(4)]
    proxy.mood = "cut once"
    written = await settled(bench.client.append_turns("s", turns, expected_seq=0))
    assert [item["seq"] for item in written] == [1, 2, 3, 4]
    assert [item["repeat"] for item in written] == [True, False, False, False]


async def test_a_call_that_failed_can_be_repeated(lossy: tuple[Bench, Proxy]) -> None:
    bench, proxy = lossy
    turns = [{"role": "user", "content": str(number)} for number in range(2)]
    impatient = made(
        "sync" if bench.client.__class__.__name__ == "Client" else "async",
        proxy.url,
        timeout_s=0.3,
        budget_s=0.3,
    )
    for call in (
        lambda **key: impatient.append_turn("s", "user", "one", **key),
        lambda **key: impatient.append_turns("t", turns, **key),
    ):
        proxy.mood = "silent"
        with pytest.raises(Unavailable, match="no answer") as raised:
            await settled(call())
        proxy.mood = "forward"
        assert raised.value.idempotency_key
        again = await settled(call(idempotency_key=raised.value.idempotency_key))
        [first, *_] = again if isinstance(again, list) else [again]
        assert (first["seq"], first["repeat"]) == (1, True)
    await settled(impatient.close())


async def test_a_connection_that_has_gone_stale_is_no_fault(lossy: tuple[Bench, Proxy]) -> None:
    bench, proxy = lossy
    await settled(bench.client.append_turn("s", "user", "one"))
    proxy.mood = "cut once"
    assert (await settled(bench.client.session("s", strong=True)))["turn_count"] == 1


async def test_a_log_that_comes_back_is_waited_for(kind: Kind, stage: Stage) -> None:
    redis = OutageProxy(stage.redis_url)
    await redis.up()
    with listening(redis.url, stage.postgres_url) as url:
        client = made(kind, url)

        async def come_back() -> None:
            await asyncio.sleep(0.3)
            await redis.up()

        async def call() -> None:
            # The sync client would hold up the loop that the proxy runs in.
            if kind == "sync":
                written = await asyncio.to_thread(client.append_turn, "s", "user", "two")
            else:
                written = await settled(client.append_turn("s", "user", "two"))
            assert written["seq"] == 1

        await redis.down()
        await asyncio.gather(call(), come_back())
        await settled(client.close())
    await redis.close()


async def test_an_outage_is_told_with_its_key(kind: Kind, stage: Stage) -> None:
    redis = OutageProxy(stage.redis_url)
    with listening(redis.url, stage.postgres_url) as url:
        client = made(kind, url, budget_s=0.5)
        with pytest.raises(Unavailable) as raised:
            await settled(client.append_turn("s", "user", "one", idempotency_key="k"))
        assert raised.value.code == "redis-unavailable"
        assert raised.value.status == 503
        assert raised.value.retry_after_s == 1.0
        assert raised.value.idempotency_key == "k"
        ready = await settled(client.ready())
        assert not ready["ready"]
        assert ready["checks"]["redis"]
        await settled(client.close())


async def test_nobody_there_is_told(kind: Kind) -> None:
    client = made(kind, f"http://127.0.0.1:{free_port()}", budget_s=0.2)
    with pytest.raises(Unavailable, match="ConnectError"):
        await settled(client.session("s"))
    await settled(client.close())


async def test_something_else_there_is_told(kind: Kind) -> None:
    page = httpx.Response(200, html="<p>Please log in, secret</p>")
    moved = httpx.Response(302, headers={"Location": "https://login.test/secret"})
    broken = httpx.Response(500, text="secret")
    for answer in (page, moved, broken):
        client = answering(kind, lambda _, answer=answer: answer)
        with pytest.raises(ServerFailed) as raised:
            await settled(client.session("s"))
        assert "secret" not in str(raised.value)
        await settled(client.close())


async def test_an_answer_that_breaks_off_is_asked_for_again(kind: Kind) -> None:
    """Half a body with the length of a whole one."""
    listener = socket.create_server(("127.0.0.1", 0))
    whole = b'{"status":"ok"}'
    served: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(await reader.readuntil(b"\r\n\r\n"))
        body = whole[:5] if len(served) < 3 else whole
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(whole) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, sock=listener)
    client = made(kind, f"http://127.0.0.1:{listener.getsockname()[1]}")
    if kind == "sync":
        answer = await asyncio.to_thread(client.health)
    else:
        answer = await settled(client.health())
    assert answer == {"status": "ok"}
    assert len(served) == 3
    await settled(client.close())
    server.close()
    await server.wait_closed()
