"""What an append writes, and what it answers: replies, repeats, refusals, keys."""

import time
from typing import Any

import pytest
from bench import Bench, settled

from turnlog_producers import (
    Appended,
    Conflict,
    InvalidEvent,
    LogDamaged,
    NotOwner,
    SessionErased,
    TooLarge,
)
from turnlog_producers.head import Head
from turnlog_producers.keys import META, WAKE
from turnlog_producers.meta import LogMeta


async def test_reply_tells_place_and_time(bench: Bench) -> None:
    chat = bench.session()
    before = int(time.time() * 1000)
    await settled(chat.append_turn("user", "Hi"))
    reply = await settled(chat.append_turn("assistant", "Hello", event_id="e-2", turn_id="t-2"))
    assert reply == Appended("s-1", 2, "e-2", "t-2", False, reply.recorded_at)
    assert before - 1 <= reply.recorded_at <= time.time() * 1000 + 1


async def test_stream_entry_holds_the_event_its_id_and_redis_clock(bench: Bench) -> None:
    reply = await settled(bench.session().append_turn("user", "Hi"))
    (entry,) = bench.entries()
    assert entry.id == "1-0"
    assert entry.event_id == reply.event_id
    assert entry.recorded_at == reply.recorded_at


async def test_head_and_index_follow_each_call(bench: Bench) -> None:
    chat = bench.session(user_id="ü 1")
    first = await settled(chat.append_turn("user", "Hi"))
    assert bench.head() == Head(2, 0, first.recorded_at, first.event_id, "s", "ü 1")
    second = await settled(chat.rename("T"))
    assert bench.head() == Head(3, 0, second.recorded_at, second.event_id, "s", "ü 1")
    sizes = [len(raw[1][b"e"]) for raw in bench.server.xrange(bench.keys().stream)]
    assert bench.index() == [
        (
            "1-0",
            {
                "session": "acme:s-1",
                "from": "1",
                "count": "2",
                "prev": "",
                "last": first.event_id,
                "size": str(sizes[0] + sizes[1]),
            },
        ),
        (
            "2-0",
            {
                "session": "acme:s-1",
                "from": "3",
                "count": "1",
                "prev": first.event_id,
                "last": second.event_id,
                "size": str(sizes[2]),
            },
        ),
    ]
    ids = bench.server.hgetall(bench.keys().ids)
    assert ids[first.event_id.encode()] == b"2"
    assert ids[second.event_id.encode()] == b"3"
    assert len(ids) == 3


async def test_append_wakes_the_projector_of_the_partition(bench: Bench) -> None:
    chat = bench.session()
    await settled(chat.clear())
    with bench.server.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(WAKE)
        listener.get_message(timeout=5)
        await settled(chat.clear())
        message = listener.get_message(timeout=5)
    assert message["data"] == str(bench.keys().partition).encode()


async def test_first_client_creates_the_log(bench: Bench) -> None:
    await settled(bench.session().clear())
    meta = LogMeta.parse(bench.server.get(META))
    assert meta.partitions == 8
    assert meta == await settled(bench.log.log_meta())


async def test_session_starts_with_the_first_append_only(bench: Bench) -> None:
    chat = bench.session(user_id="u-1", project="p", title="T", visibility="tenant", metadata={})
    await settled(chat.append_turn("user", "Hi", at="2020-01-01T00:00:00Z"))
    await settled(chat.append_turn("user", "Hi"))
    await settled(bench.session(user_id="u-2").append_turn("user", "Hi"))
    assert bench.types() == ["session.started", *["turn.appended"] * 3]
    started = bench.events()[0]
    assert started["at"] == "2020-01-01T00:00:00.000000Z"
    assert started["data"] == {
        "user_id": "u-1",
        "project": "p",
        "title": "T",
        "visibility": "tenant",
        "metadata": {},
    }


async def test_session_start_is_kept_for_the_first_append_that_succeeds(bench: Bench) -> None:
    chat = bench.session(user_id="u-1")
    with pytest.raises(Conflict):
        await settled(chat.append_turn("user", "Hi", expected_seq=7))
    await settled(chat.append_turn("user", "Hi"))
    assert bench.types() == ["session.started", "turn.appended"]


async def test_explicit_start_is_the_only_one(bench: Bench) -> None:
    chat = bench.session(user_id="u-1")
    await settled(chat.start())
    await settled(chat.append_turn("user", "Hi"))
    assert bench.types() == ["session.started", "turn.appended"]
    assert bench.head().owner == "u-1"  # pyright: ignore[reportOptionalMemberAccess]


async def test_session_of_nobody_has_no_start(bench: Bench) -> None:
    await settled(bench.session().append_turn("user", "Hi"))
    assert bench.types() == ["turn.appended"]
    assert bench.head().owner == ""  # pyright: ignore[reportOptionalMemberAccess]


async def test_emptied_log_gets_a_start_again(bench: Bench) -> None:
    chat = bench.session(user_id="u-1")
    await settled(chat.append_turn("user", "Hi"))
    bench.server.flushdb()
    bench.server.script_flush()
    await settled(chat.append_turn("user", "Hi"))
    await settled(chat.append_turn("user", "Hi"))
    assert bench.types() == ["turn.appended", "session.started", "turn.appended"]


async def test_same_event_id_is_written_once(bench: Bench) -> None:
    chat = bench.session(user_id="u-1")
    first = await settled(chat.append_turn("user", "Hi", event_id="e-1"))
    await settled(chat.append_turn("user", "More"))
    again = await settled(bench.session().append_turn("user", "Other", event_id="e-1"))
    assert again == Appended("s-1", first.seq, "e-1", "e-1", True, None)
    assert bench.types() == ["session.started", "turn.appended", "turn.appended"]


async def test_event_ids_are_of_one_session(bench: Bench) -> None:
    await settled(bench.session("a").clear(event_id="e-1"))
    reply = await settled(bench.session("b").clear(event_id="e-1"))
    assert not reply.repeat


async def test_repeat_does_not_ask_for_the_expected_seq(bench: Bench) -> None:
    chat = bench.session()
    await settled(chat.append_turn("user", "Hi", event_id="e-1", expected_seq=0))
    reply = await settled(chat.append_turn("user", "Hi", event_id="e-1", expected_seq=0))
    assert reply.repeat


async def test_conflict_names_both_numbers_and_writes_nothing(bench: Bench) -> None:
    chat = bench.session()
    await settled(chat.clear(expected_seq=0))
    with pytest.raises(Conflict, match="session s-1: expected seq 5, it is at 1") as caught:
        await settled(chat.clear(expected_seq=5))
    assert (caught.value.expected, caught.value.actual) == (5, 1)
    assert len(bench.types()) == 1


async def test_erased_session_takes_nothing(bench: Bench) -> None:
    chat = bench.session(user_id="u-1")
    await settled(chat.append_turn("user", "Hi"))
    await settled(chat.erase())
    for call in (chat.clear, chat.erase, chat.start):
        with pytest.raises(SessionErased, match="session s-1 is erased"):
            await settled(call())
    assert bench.types()[-1] == "session.erased"


async def test_repeated_erase_is_a_repeat(bench: Bench) -> None:
    chat = bench.session(user_id="u-1")
    first = await settled(chat.erase(event_id="e-9"))
    bench.server.delete(bench.keys().ids)  # as the projector leaves an erased session
    again = await settled(bench.session(user_id="u-1").erase(event_id="e-9"))
    assert again == Appended("s-1", first.seq, "e-9", None, True, None)


async def test_nothing_follows_an_erasure_in_a_batch(bench: Bench) -> None:
    chat = bench.session()
    with pytest.raises(InvalidEvent, match=r"nothing may come after session\.erased"):
        await settled(chat.append_batch([chat.build.erase(), chat.build.clear()]))
    assert not bench.types()


async def test_acting_for_a_user(bench: Bench) -> None:
    await settled(bench.session(as_user="u-1").append_turn("user", "Hi"))
    assert bench.head().owner == "u-1"  # pyright: ignore[reportOptionalMemberAccess]
    with pytest.raises(NotOwner, match="session s-1 does not belong to the user"):
        await settled(bench.session(as_user="u-2").append_turn("user", "Hi"))
    with pytest.raises(NotOwner):
        await settled(bench.session("s-2", as_user="u-2", user_id="u-1").clear())
    await settled(bench.session(as_user="u-1").append_turn("user", "Hi"))
    assert bench.types() == ["session.started", "turn.appended", "turn.appended"]


async def test_acting_for_a_user_on_an_emptied_log(bench: Bench) -> None:
    chat = bench.session(as_user="u-1")
    await settled(chat.append_turn("user", "Hi"))
    bench.server.flushdb()
    await settled(chat.append_turn("user", "Hi"))
    assert bench.types() == ["session.started", "turn.appended"]


async def test_lost_stream_is_reported_and_left_alone(bench: Bench) -> None:
    chat = bench.session()
    await settled(chat.clear())
    await settled(chat.clear())
    bench.server.delete(bench.keys().stream)
    with pytest.raises(LogDamaged, match="session s-1: its stream should hold 2 events and hold"):
        await settled(chat.clear())
    assert not bench.types()
    assert len(bench.index()) == 2


async def test_sessions_of_tenants_are_apart(bench: Bench) -> None:
    await settled(bench.session().clear())
    other = bench.session(tenant="other")
    assert (await settled(other.clear())).seq == 1
    assert other.tenant == "other"


async def test_batch_is_one_change(bench: Bench) -> None:
    chat = bench.session(user_id="u-1")
    events = [
        chat.build.append_turn("user", "1"),
        chat.build.append_turn("user", "2", event_id="e-2"),
        chat.build.rename("T"),
        chat.build.append_turn("user", "twice", event_id="e-2"),
    ]
    replies = await settled(chat.append_batch(events, expected_seq=0))
    assert [reply.seq for reply in replies] == [2, 3, 4, 3]
    assert [reply.repeat for reply in replies] == [False, False, False, True]
    assert [reply.turn_id for reply in replies] == [events[0].event_id, "e-2", None, "e-2"]
    assert [fields["count"] for _, fields in bench.index()] == ["4"]
    again = await settled(chat.append_batch(events, expected_seq=0))
    assert [reply.repeat for reply in again] == [True] * 4
    assert len(bench.types()) == 4


async def test_batch_is_all_or_nothing(bench: Bench) -> None:
    chat = bench.session()
    await settled(chat.clear(event_id="e-1"))
    events = [chat.build.clear(event_id="e-1"), chat.build.clear()]
    with pytest.raises(Conflict):
        await settled(chat.append_batch(events, expected_seq=0))
    assert len(bench.types()) == 1
    replies = await settled(chat.append_batch(events, expected_seq=1))
    assert [reply.repeat for reply in replies] == [True, False]


async def test_batch_of_the_greatest_size(bench: Bench) -> None:
    chat = bench.session(user_id="u-1")
    events = [chat.build.append_turn("user", f"{number}") for number in range(1000)]
    replies = await settled(chat.append_batch(events))
    assert [reply.seq for reply in replies] == list(range(2, 1002))
    assert await settled(chat.append_batch([])) == []


async def test_batch_over_a_limit(bench: Bench) -> None:
    chat = bench.session()
    small = chat.build.clear()
    with pytest.raises(TooLarge, match="batch: 1,001 events, the limit is 1,000"):
        await settled(chat.append_batch([small] * 1001))
    large = [chat.build.append_turn("user", "x" * 1_000_000) for _ in range(9)]
    with pytest.raises(TooLarge, match=r"batch: 9,00.,... bytes, the limit is 8,388,608"):
        await settled(chat.append_batch(large))
    assert not bench.types()


async def test_event_over_the_limit_is_not_sent(bench: Bench) -> None:
    with pytest.raises(TooLarge, match=r"turn.appended: 1,048,7.. bytes, the limit is 1,048,576"):
        await settled(bench.session().append_turn("user", "x" * 1024 * 1024))
    assert not bench.types()


@pytest.mark.parametrize(
    "content",
    [
        "nul \0 inside",
        "😀 👩‍👩‍👧 e\u0301",
        "\u202bעברית ואנגלית\u202c العربية",  # noqa: RUF001
        "\u2028\u2029\x85\x1f\ufeff",
        "x😀" * 180_000,
        [{"type": "text", "text": "deep", "more": [[[{"a": None}]]]}],
    ],
    ids=["nul", "emoji", "right-to-left", "separators", "900 KB", "parts"],
)
async def test_content_comes_back_as_it_was_given(bench: Bench, content: Any) -> None:
    await settled(bench.session().append_turn("user", content))
    assert bench.events()[0]["data"]["content"] == content
