"""Turns, by both clients."""

from datetime import UTC, datetime
from typing import Any

import pytest
from client_bench import Bench, listed, settled

from turnlog_client import Conflict, InvalidRequest, NotFound
from turnlog_producers import AsyncTurnLog

pytestmark = pytest.mark.integration

FULL: dict[str, Any] = {
    "turn_id": "t",
    "name": "n",
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    "artifacts": [{"id": "a", "kind": "chart"}],
    "model": "m",
    "usage": {"input_tokens": 1, "output_tokens": 2},
    "response_time_ms": 12.5,
    "metadata": {"k": "v"},
    "actor": {"kind": "agent", "id": "a-1", "name": "Ann"},
}


async def test_a_turn_keeps_all_that_it_was_given(bench: Bench) -> None:
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    written = await settled(
        bench.client.append_turn(
            "s", "assistant", [{"type": "text", "text": "Hi"}], at=at, trace={"id": "x"}, **FULL
        )
    )
    assert (written["turn_id"], written["seq"]) == ("t", 1)
    bench.stage.project()
    [turn] = await listed(bench.client.turns("s"))
    assert {**turn, **FULL} == turn
    assert turn["content"] == [{"type": "text", "text": "Hi"}]
    assert turn["at"] == "2026-01-31T12:00:00.000000Z"
    [event] = await listed(bench.client.events("s"))
    assert event["trace"] == {"id": "x"}


async def test_a_turn_changes(bench: Bench) -> None:
    client = bench.client
    first, second = await bench.say("s", "one", "two")
    await settled(client.edit_turn("s", first["turn_id"], "uno", reason="a slip"))
    await settled(client.retract_turn("s", second["turn_id"], reason="not meant"))
    bench.stage.project()
    [turn] = await listed(client.turns("s"))
    assert (turn["content"], turn["edited"]) == ("uno", True)
    both = await listed(client.turns("s", include_retracted=True))
    assert (both[1]["status"], both[1]["reason"]) == ("retracted", "not meant")
    [revision] = await listed(client.revisions("s", first["turn_id"]))
    assert revision["before"]["content"] == "one"
    await settled(client.erase_turn("s", first["turn_id"], reason="a secret"))
    bench.stage.project()
    assert await listed(client.revisions("s", first["turn_id"])) == []
    with pytest.raises(NotFound):
        await settled(client.edit_turn("s", "none", "x"))


async def test_annotations_come_and_go(bench: Bench) -> None:
    client = bench.client
    [turn] = await bench.say("s", "one")
    where = ("s", turn["turn_id"])
    await settled(client.annotate_turn(*where, "rating", 1, by="u"))
    await settled(client.annotate_turn(*where, "reaction", "+1", by="u"))
    await settled(client.annotate_turn(*where, "comment", "good", by="v"))
    [shown] = await listed(client.turns("s", strong=True))
    found = {(item["kind"], item["value"], item["by"]) for item in shown["annotations"]}
    assert found == {("rating", 1, "u"), ("reaction", "+1", "u"), ("comment", "good", "v")}
    await settled(client.remove_annotation(*where, "rating", by="u"))
    await settled(client.remove_annotation(*where, "reaction", "+1", by="u"))
    [shown] = await listed(client.turns("s", strong=True))
    assert [item["kind"] for item in shown["annotations"]] == ["comment"]


async def test_branches_open_and_are_chosen(bench: Bench) -> None:
    client = bench.client
    first, _ = await bench.say("s", "one", "two")
    await settled(client.append_turn("s", "user", "2b", parent_turn_id=first["turn_id"]))
    await settled(client.append_turn("s", "user", "root", parent_turn_id=None))
    bench.stage.project()
    branches = await listed(client.branches("s"))
    assert len(branches) == 3
    assert [branch["shown"] for branch in branches] == [False, False, True]
    assert [turn["content"] for turn in await listed(client.turns("s"))] == ["root"]
    other = branches[1]["branch_id"]
    found = await listed(client.turns("s", branch=other))
    assert [turn["content"] for turn in found] == ["one", "2b"]
    await settled(client.choose_branch("s", other))
    bench.stage.project()
    assert [turn["content"] for turn in await listed(client.turns("s"))] == ["one", "2b"]


async def test_many_turns_keep_their_order_and_are_written_once(bench: Bench) -> None:
    turns = [{"role": "user", "content": str(number)} for number in range(5)]
    for repeat in (False, True):
        written = await settled(bench.client.append_turns("s", turns, idempotency_key="k"))
        assert [item["seq"] for item in written] == [1, 2, 3, 4, 5]
        assert {item["repeat"] for item in written} == {repeat}
    bench.stage.project()
    found = await listed(bench.client.turns("s"))
    assert [turn["content"] for turn in found] == ["0", "1", "2", "3", "4"]
    more = await settled(bench.client.append_turns("s", turns[:2], expected_seq=5))
    assert [item["seq"] for item in more] == [6, 7]
    with pytest.raises(Conflict):
        await settled(bench.client.append_turns("s", turns, expected_seq=5))
    assert await settled(bench.client.append_turns("s", [])) == []


async def test_what_is_no_turn_is_refused(bench: Bench) -> None:
    client = bench.client
    with pytest.raises(InvalidRequest) as raised:
        await settled(client.append_turn("s", "robot", "x"))
    assert raised.value.pointer == "/role"
    with pytest.raises(TypeError, match="'contents'"):
        await settled(client.append_turn("s", "user", contents="x"))
    with pytest.raises(InvalidRequest, match="offset"):
        await settled(client.append_turn("s", "user", "x", at=datetime(2026, 1, 1)))  # noqa: DTZ001
    for odd in ("\ud800", object()):
        with pytest.raises(InvalidRequest, match="JSON"):
            await settled(client.append_turn("s", "user", odd))
    with pytest.raises(NotFound):
        await settled(client.session("s", strong=True))


async def test_a_context_is_what_a_model_needs_to_go_on(bench: Bench) -> None:
    client = bench.client
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Revenue?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "41", "tool_call_id": "c"},
        {"role": "agent", "content": "41 %", "actor": {"kind": "agent", "id": "ann"}},
        {"role": "user", "content": "Since when?", "metadata": {"openai": {"fields": {"id": 1}}}},
    ]
    await settled(client.append_turns("s", turns))
    expected: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Revenue?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "41", "tool_call_id": "c"},
        {"role": "assistant", "content": "41 %"},
        {"role": "user", "content": "Since when?"},
    ]
    # Nothing is projected: it is a strong read.
    assert await settled(client.context("s")) == expected
    assert await settled(client.context("s", last=None)) == expected
    assert await settled(client.context("s", last=4)) == expected[2:]
    # Without the call the result of a tool would be refused.
    assert await settled(client.context("s", last=3)) == expected[4:]
    assert await settled(client.context("s", as_of=2)) == expected[:2]
    with pytest.raises(NotFound):
        await settled(client.context("s", strong=False))


async def test_a_context_leaves_out_a_turn_in_flight(bench: Bench) -> None:
    await bench.say("s", "one")
    async with AsyncTurnLog.connect(bench.stage.redis_url) as log:
        await log.session("s").start_turn("assistant", turn_id="streaming")
    assert (await listed(bench.client.turns("s", strong=True)))[1]["status"] == "streaming"
    [message] = await settled(bench.client.context("s"))
    assert message["content"] == "one"
