"""Which log a Redis holds."""

from collections.abc import Callable

import fakeredis
import pytest

from turnlog_producers import AsyncTurnLog, Misconfigured, TurnLog
from turnlog_producers.keys import META
from turnlog_producers.meta import LogMeta, new_meta


def test_what_is_written_is_read() -> None:
    meta = new_meta(None)
    assert meta.partitions == 64
    assert LogMeta.parse(meta.format()) == meta


@pytest.mark.parametrize(
    "value",
    [b"", b"text", b"[]", b"7", b"{}", b'{"log_id": 1, "partitions": 8}', b"\xff"]
    + [b'{"log_id": "x", "partitions": %s}' % number for number in (b"0", b'"8"', b"true")],
)
def test_a_value_of_somebody_else_is_refused(value: bytes) -> None:
    with pytest.raises(Misconfigured, match=r"turnlog:meta holds no log of Turnlog"):
        LogMeta.parse(value)


def append_elsewhere(server: fakeredis.FakeServer) -> None:
    with TurnLog(fakeredis.FakeRedis(server=server), partitions=8) as log:
        log.session("elsewhere", user_id="u-1").append_turn("user", "Hi")


def once(act: Callable[[], None]) -> Callable[[], None]:
    left = [act]
    return lambda: left.pop()() if left else None


def test_another_that_comes_first_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    server = fakeredis.FakeServer()
    client = fakeredis.FakeRedis(server=server)
    between, ask = once(lambda: append_elsewhere(server)), client.exists

    def exists(*keys: str) -> int:
        between()
        return ask(*keys)

    monkeypatch.setattr(client, "exists", exists)
    with TurnLog(client, partitions=8) as log:
        assert not log.session("s-1", user_id="u-1").append_turn("user", "Hi").repeat


async def test_another_that_comes_first_is_joined_in_async(monkeypatch: pytest.MonkeyPatch) -> None:
    server = fakeredis.FakeServer()
    between = once(lambda: append_elsewhere(server))
    async with AsyncTurnLog(fakeredis.FakeAsyncRedis(server=server), partitions=8) as log:
        ask = log._ask  # pyright: ignore[reportPrivateUsage]

        async def asked(*words: str | bytes) -> object:
            if words[0] == "EXISTS":
                between()
            return await ask(*words)

        monkeypatch.setattr(log, "_ask", asked)
        assert not (await log.session("s-1", user_id="u-1").append_turn("user", "Hi")).repeat


def test_a_log_without_its_identity_is_not_begun_again() -> None:
    server = fakeredis.FakeServer()
    append_elsewhere(server)
    client = fakeredis.FakeRedis(server=server)
    client.delete(META)
    with TurnLog(client, partitions=8) as log, pytest.raises(Misconfigured, match="repair --adopt"):
        log.session("s-1", user_id="u-1").append_turn("user", "Hi")
    assert client.get(META) is None
