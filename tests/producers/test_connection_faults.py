"""Calls whose connection or server fails: nothing is written twice, errors say what to do."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis
from bench import Bench, settled
from losing_proxy import Proxy

from turnlog_producers import AsyncTurnLog, Misconfigured, TurnLog, Unavailable

pytestmark = pytest.mark.integration


@pytest.fixture(params=[TurnLog, AsyncTurnLog])
def kind(request: pytest.FixtureRequest) -> Any:
    """Each of the clients."""
    return request.param


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with Proxy(redis_url) as made:
        yield made


@pytest.fixture
async def bench(redis_url: str, proxy: Proxy, kind: Any) -> AsyncIterator[Bench]:
    """A client behind the proxy, which has appended `e-0` to session `s-1`."""
    log = kind.connect(proxy.url, tenant="acme", partitions=8, timeout_s=0.5, retry_s=0.5)
    made = Bench(log, redis.Redis.from_url(redis_url))
    await settled(made.session().clear(event_id="e-0"))
    yield made
    await made.close()


async def test_reply_lost_once_is_a_repeat(bench: Bench, proxy: Proxy) -> None:
    proxy.mood = "cut once"
    reply = await settled(bench.session().append_turn("user", "Hi"))
    assert proxy.lost == 1
    assert (reply.seq, reply.repeat) == (2, True)
    assert bench.types() == ["session.cleared", "turn.appended"]


async def test_silent_server_is_asked_again_over_a_new_connection(
    bench: Bench, proxy: Proxy
) -> None:
    proxy.mood = "silent"
    with pytest.raises(Unavailable, match="did not answer in time"):
        await settled(bench.session().append_turn("user", "Hi"))
    proxy.mood = "forward"
    await settled(bench.session().append_turn("user", "Hi"))
    assert bench.types() == ["session.cleared", "turn.appended", "turn.appended"]


async def test_unavailable_says_how_to_resend(bench: Bench, proxy: Proxy) -> None:
    chat = bench.session(user_id="u-1")
    proxy.mood = "cut"
    with pytest.raises(Unavailable) as caught:
        await settled(chat.append_turn("user", "the text"))
    (event_id,) = caught.value.event_ids
    text = str(caught.value)
    assert f"resend the same call with event_id='{event_id}'" in text
    assert "127.0.0.1:" in text
    assert "\n" not in text
    assert "the text" not in text
    proxy.mood = "forward"
    reply = await settled(chat.append_turn("user", "the text", event_id=event_id))
    assert reply.repeat
    assert bench.types().count("turn.appended") == 1
    assert bench.types().count("session.started") == 1


async def test_batch_whose_reply_is_lost(bench: Bench, proxy: Proxy) -> None:
    chat = bench.session()
    events = [chat.build.append_turn("user", f"{number}") for number in range(3)]
    proxy.mood = "cut"
    with pytest.raises(Unavailable, match="resend the same events") as caught:
        await settled(chat.append_batch(events))
    assert caught.value.event_ids == tuple(event.event_id for event in events)
    proxy.mood = "forward"
    replies = await settled(chat.append_batch(events))
    assert [reply.repeat for reply in replies] == [True] * 3
    assert bench.types().count("turn.appended") == 3


async def test_forgotten_script_is_loaded_again(bench: Bench) -> None:
    bench.server.script_flush()
    reply = await settled(bench.session().clear())
    assert reply.seq == 2
    assert not reply.repeat


async def test_connection_that_the_server_closed(bench: Bench) -> None:
    await settled(bench.session().clear())
    for client in bench.server.client_list(_type="normal"):
        if client["id"] != str(bench.server.client_id()):
            bench.server.client_kill_filter(_id=client["id"])
    reply = await settled(bench.session().clear())
    assert (reply.seq, reply.repeat) == (3, False)


async def test_wrong_password(redis_url: str, kind: Any) -> None:
    log = kind.connect(_with_password(redis_url, "wrong-secret"), retry_s=60.0)
    with pytest.raises(Misconfigured, match="refuses this user name or password") as caught:
        await settled(log.session("s").clear())
    assert "wrong-secret" not in str(caught.value)
    await settled(log.close())


async def test_missing_password(redis_url: str, kind: Any) -> None:
    log = kind.connect(_with_password(redis_url, ""), retry_s=60.0)
    with pytest.raises(Misconfigured, match="wants a password: put it in the URL"):
        await settled(log.session("s").clear())
    await settled(log.close())


async def test_nobody_listens(kind: Any) -> None:
    log = kind.connect("redis://:secret@127.0.0.1:1/0", retry_s=0.1)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 cannot be reached: connection refused"):
        await settled(log.session("s").clear())
    await settled(log.close())


async def test_other_data_under_our_keys(bench: Bench) -> None:
    bench.server.set(bench.keys("s-2").stream, "text")
    with pytest.raises(Misconfigured, match="has other data under Turnlog's keys"):
        await settled(bench.session("s-2").clear())
    assert (await settled(bench.session().clear())).seq == 2


def _with_password(url: str, password: str) -> str:
    _, _, rest = url.rpartition("@")
    return f"redis://:{password}@{rest}" if password else f"redis://{rest}"
