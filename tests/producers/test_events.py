"""Every event of the log as a method of a session."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bench import Bench, settled

from turnlog_producers import CONTINUE, InvalidEvent

_TURN = {
    "name": "planner",
    "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}],
    "tool_call_id": "c0",
    "artifacts": [{"id": "a1", "kind": "chart", "url": "https://x.test/a1"}],
    "model": "m-1",
    "usage": {"input_tokens": 12, "output_tokens": 3, "cached": 4},
    "response_time_ms": 812.5,
    "parent_turn_id": "t-0",
    "metadata": {"k": [1, None]},
}

Method = Callable[[Any], Any]

CASES: dict[str, tuple[Method, str, dict[str, Any]]] = {
    "start": (
        lambda chat: chat.start(),
        "session.started",
        {"user_id": "u-1", "project": "sales"},
    ),
    "rename": (
        lambda chat: chat.rename("Revenue"),
        "session.updated",
        {"title": "Revenue", "title_source": "user"},
    ),
    "rename by a model": (
        lambda chat: chat.rename("Revenue", source="model"),
        "session.updated",
        {"title": "Revenue", "title_source": "model"},
    ),
    "update": (
        lambda chat: chat.update(
            project="p", visibility="tenant", metadata={"a": None}, archived=True, pinned=False
        ),
        "session.updated",
        {
            "project": "p",
            "visibility": "tenant",
            "metadata": {"a": None},
            "archived": True,
            "pinned": False,
        },
    ),
    "choose_branch": (
        lambda chat: chat.choose_branch("b-2"),
        "session.updated",
        {"branch": "b-2"},
    ),
    "clear": (lambda chat: chat.clear(), "session.cleared", {}),
    "delete": (lambda chat: chat.delete(), "session.deleted", {}),
    "restore": (lambda chat: chat.restore(), "session.restored", {}),
    "erase": (lambda chat: chat.erase(), "session.erased", {}),
    "append_turn": (
        lambda chat: chat.append_turn("assistant", "Hi", turn_id="t-1", **_TURN),
        "turn.appended",
        {"turn_id": "t-1", "role": "assistant", "content": "Hi", **_TURN},
    ),
    "append_turn of parts": (
        lambda chat: chat.append_turn("user", [{"type": "text", "text": "Hi"}], turn_id="t-1"),
        "turn.appended",
        {"turn_id": "t-1", "role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ),
    "append_turn as a new root": (
        lambda chat: chat.append_turn("user", "Hi", turn_id="t-1", parent_turn_id=None),
        "turn.appended",
        {"turn_id": "t-1", "role": "user", "content": "Hi", "parent_turn_id": None},
    ),
    "append_turn that continues": (
        lambda chat: chat.append_turn("user", "Hi", turn_id="t-1", parent_turn_id=CONTINUE),
        "turn.appended",
        {"turn_id": "t-1", "role": "user", "content": "Hi"},
    ),
    "start_turn": (
        lambda chat: chat.start_turn(turn_id="t-1", model="m", name="n", metadata={"a": 1}),
        "turn.started",
        {
            "turn_id": "t-1",
            "role": "assistant",
            "model": "m",
            "name": "n",
            "metadata": {"a": 1},
        },
    ),
    "start_turn as a new root": (
        lambda chat: chat.start_turn("user", turn_id="t-1", parent_turn_id=None),
        "turn.started",
        {"turn_id": "t-1", "role": "user", "parent_turn_id": None},
    ),
    "complete_turn": (
        lambda chat: chat.complete_turn("t-1", "All of it", **_TURN),
        "turn.completed",
        {"turn_id": "t-1", "role": "assistant", "content": "All of it", **_TURN},
    ),
    "interrupt_turn": (
        lambda chat: chat.interrupt_turn("t-1", "Half", reason="stopped", role="agent"),
        "turn.interrupted",
        {"turn_id": "t-1", "role": "agent", "content": "Half", "reason": "stopped"},
    ),
    "edit_turn": (
        lambda chat: chat.edit_turn("t-1", "Better", reason="typo"),
        "turn.edited",
        {"turn_id": "t-1", "content": "Better", "reason": "typo"},
    ),
    "edit_turn to nothing": (
        lambda chat: chat.edit_turn("t-1", None),
        "turn.edited",
        {"turn_id": "t-1", "content": None},
    ),
    "retract_turn": (
        lambda chat: chat.retract_turn("t-1", reason="wrong"),
        "turn.retracted",
        {"turn_id": "t-1", "reason": "wrong"},
    ),
    "erase_turn": (lambda chat: chat.erase_turn("t-1"), "turn.erased", {"turn_id": "t-1"}),
    "annotate_turn": (
        lambda chat: chat.annotate_turn("t-1", "rating", 1, by="u-1"),
        "turn.annotated",
        {"turn_id": "t-1", "kind": "rating", "value": 1, "by": "u-1"},
    ),
    "annotate_turn, taken back": (
        lambda chat: chat.annotate_turn("t-1", "reaction", "👍", remove=True),
        "turn.annotated",
        {"turn_id": "t-1", "kind": "reaction", "value": "👍", "remove": True},
    ),
    "append": (
        lambda chat: chat.append("turn.appended", {"turn_id": "t-1", "role": "user", "own": [1]}),
        "turn.appended",
        {"turn_id": "t-1", "role": "user", "own": [1]},
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_method_writes_its_event(bench: Bench, name: str) -> None:
    method, type_, data = CASES[name]
    chat = bench.session(user_id="u-1", project="sales")
    reply = await settled(method(chat))
    event = bench.events()[-1]
    assert event["type"] == type_
    assert event["data"] == data
    assert event["version"] == 1
    assert event["event_id"] == reply.event_id
    assert reply.turn_id == data.get("turn_id")
    assert reply.session_id == "s-1"
    assert reply.repeat is False


@pytest.mark.parametrize("name", CASES)
async def test_builder_makes_the_same_event(bench: Bench, name: str) -> None:
    method, type_, data = CASES[name]
    chat = bench.session(user_id="u-1", project="sales")
    event = method(chat.build)
    assert event.type == type_
    assert not bench.types()
    await settled(chat.append_batch([event]))
    assert bench.events()[-1]["data"] == data


async def test_options_of_every_method(bench: Bench) -> None:
    moment = datetime(2026, 1, 31, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    reply = await settled(
        bench.session().clear(
            event_id="e-1", at=moment, actor={"kind": "agent", "id": "a-1"}, trace={"span": "x"}
        )
    )
    assert reply.event_id == "e-1"
    assert bench.events() == [
        {
            "event_id": "e-1",
            "type": "session.cleared",
            "version": 1,
            "at": "2026-01-31T12:00:00.000000Z",
            "actor": {"kind": "agent", "id": "a-1"},
            "data": {},
            "trace": {"span": "x"},
        }
    ]


async def test_actor_of_the_session_unless_the_call_names_one(bench: Bench) -> None:
    chat = bench.session(actor={"kind": "service", "id": "bot"})
    await settled(chat.clear())
    await settled(chat.clear(actor={"kind": "user"}))
    assert [event["actor"]["kind"] for event in bench.events()] == ["service", "user"]


async def test_time_is_now_in_utc(bench: Bench) -> None:
    before = datetime.now(UTC)
    await settled(bench.session().clear())
    at = datetime.fromisoformat(bench.events()[0]["at"])
    assert before - timedelta(microseconds=1) <= at <= datetime.now(UTC)


async def test_turn_takes_the_event_id_as_its_own(bench: Bench) -> None:
    chat = bench.session()
    appended = await settled(chat.append_turn("user", "Hi"))
    started = await settled(chat.start_turn())
    assert appended.turn_id == appended.event_id
    assert started.turn_id == started.event_id


INVALID: list[tuple[Method, str]] = [
    (lambda chat: chat.append_turn("bot", "Hi"), "data.role: given 'bot'"),
    (lambda chat: chat.append_turn("user", "\ud800"), "lone surrogate"),
    (
        lambda chat: chat.append_turn("user", metadata={"x": float("nan")}),
        "given a number; input should be a finite number",
    ),
    (lambda chat: chat.append_turn("user", event_id="a b"), "event_id: given 'a b'"),
    (lambda chat: chat.append_turn("user", turn_id=""), "data.turn_id"),
    (lambda chat: chat.clear(at="yesterday"), "at: given 'yesterday'"),
    (lambda chat: chat.clear(at=datetime(2026, 1, 1)), "no UTC offset"),  # noqa: DTZ001
    (lambda chat: chat.append("turn.sung", {}), "type: given 'turn.sung'"),
]


@pytest.mark.parametrize(("call", "message"), INVALID, ids=[case[1] for case in INVALID])
async def test_invalid_event_is_refused_before_anything_is_sent(
    bench: Bench, call: Method, message: str
) -> None:
    with pytest.raises(InvalidEvent, match=message):
        await settled(call(bench.session()))
    assert not bench.types()


MISSPELT: list[Method] = [
    lambda chat: chat.append_turn("user", modle="m"),
    lambda chat: chat.complete_turn("t-1", turn_id="t-2"),
    lambda chat: chat.clear(turn_id="t-1"),
    lambda chat: chat.build.clear(expected_seq=1),
]


@pytest.mark.parametrize("call", MISSPELT, ids=range(len(MISSPELT)))
async def test_misspelt_argument_is_no_field(bench: Bench, call: Method) -> None:
    with pytest.raises(TypeError):
        await settled(call(bench.session()))
    assert not bench.types()


async def test_unknown_argument_of_session(bench: Bench) -> None:
    with pytest.raises(TypeError, match="'usr_id' for session"):
        bench.session(usr_id="u-1")


async def test_ill_formed_session_id(bench: Bench) -> None:
    with pytest.raises(InvalidEvent, match="session_id: given 'a:b'"):
        bench.session("a:b")
