"""The names that a backend imports, and what a client is given."""

from typing import Any

import fakeredis
import pytest

import turnlog_producers
from turnlog_producers import AsyncTurnLog, Misconfigured, TurnLog
from turnlog_producers.errors import Refused, Unavailable
from turnlog_schemas.errors import InvalidEvent, TurnlogError

NAMES = [
    "CONTINUE",
    "Appended",
    "AsyncChatSession",
    "AsyncTurnLog",
    "ChatSession",
    "Conflict",
    "Event",
    "EventBuilder",
    "InvalidEvent",
    "LogDamaged",
    "Misconfigured",
    "NotOwner",
    "Refused",
    "SessionErased",
    "TooLarge",
    "TurnLog",
    "TurnlogError",
    "Unavailable",
    "derived_id",
]


def test_public_names() -> None:
    assert turnlog_producers.__all__ == NAMES
    for name in NAMES:
        assert hasattr(turnlog_producers, name)


def test_errors_are_one_tree_by_what_to_do_next() -> None:
    reactions = [InvalidEvent, Refused, Unavailable, Misconfigured]
    reactions += [turnlog_producers.Conflict, turnlog_producers.LogDamaged]
    assert all(error.__base__ is TurnlogError for error in reactions)
    assert turnlog_producers.TooLarge.__base__ is InvalidEvent
    assert turnlog_producers.SessionErased.__base__ is Refused
    assert turnlog_producers.NotOwner.__base__ is Refused


def test_both_clients_and_sessions_have_the_same_methods() -> None:
    def public(kind: type[Any]) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(TurnLog) == public(AsyncTurnLog)
    assert public(turnlog_producers.ChatSession) == public(turnlog_producers.AsyncChatSession)


@pytest.mark.parametrize("client", [TurnLog, AsyncTurnLog])
@pytest.mark.parametrize(
    "url",
    [
        *("localhost:6379", "http://:pw@host", "redis://h:port/0", "", "redis://[::1"),
        *("redis://:pw/1@h:1", "redis://:pw@h?foo=1", "redis://:pw@h?db=x"),
        "rediss://:pw@h?ssl_cert_reqs=pw",
    ],
)
def test_address_that_cannot_be_read(client: Any, url: str) -> None:
    with pytest.raises(Misconfigured, match="the address of Redis is wrong: ") as caught:
        client.connect(url)
    assert "pw" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("client", [TurnLog, AsyncTurnLog])
def test_settings_are_checked_at_once(client: Any) -> None:
    with pytest.raises(Misconfigured, match="partitions is 0; allowed are 1 and more"):
        client.connect("redis://localhost", partitions=0)
    with pytest.raises(InvalidEvent, match="tenant: given 'a/b'"):
        client.connect("redis://localhost", tenant="a/b")
    with pytest.raises(TypeError):
        client.connect("redis://localhost", tennant="a")


def test_other_number_of_partitions_than_the_log_has() -> None:
    client = fakeredis.FakeRedis()
    TurnLog(client, partitions=8).session("s").clear()
    TurnLog(client).session("s").clear()
    other = TurnLog(client, partitions=16)
    with pytest.raises(Misconfigured, match=r"TURNLOG_PARTITIONS is 16, but .* has 8"):
        other.session("s").clear()


async def test_other_number_of_partitions_than_the_log_has_async() -> None:
    client = fakeredis.FakeAsyncRedis()
    async with AsyncTurnLog(client, partitions=8) as log:
        await log.session("s").clear()
    async with AsyncTurnLog(client, partitions=16) as other:
        with pytest.raises(Misconfigured, match=r"TURNLOG_PARTITIONS is 16, but .* has 8"):
            await other.session("s").clear()
    await client.aclose()
