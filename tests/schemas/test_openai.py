"""Conversations in OpenAI's form: into turns, through the fold, and back to an equal object."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from given import Given
from pydantic_core import from_json

from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.ids import check_id
from turnlog_schemas.openai import from_openai, to_openai, to_openai_line
from turnlog_schemas.rows import history, session_item


def there_and_back(line: dict[str, Any]) -> dict[str, Any]:
    conversation = from_openai(line)
    given = Given().when("session.started", **conversation.started)
    for turn in conversation.turns:
        given.when("turn.appended", **turn.data)
    given.now["session_id"] = conversation.session_id
    messages = [to_openai(turn) for turn in history(given.rows, given.now)]
    return to_openai_line(session_item(given.now), messages)


def user(**fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": "Hi", **fields}


CALL = {"id": "c-1", "type": "function", "function": {"name": "f", "arguments": '{"a":  1}'}}


@pytest.mark.parametrize(
    "message",
    [
        user(),
        {"role": "user"},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "content": "", "tool_calls": []},
        {"role": "assistant", "content": "x", "tool_calls": None, "name": None},
        {"role": "tool", "content": "{}", "name": "f", "tool_call_id": "c-1"},
        {"role": "developer", "content": [{"type": "text", "text": "\0"}, {"type": "image_url"}]},
        user(id="m-1", created_at=1_700_000_000, refusal=None, metadata={"a": None}),
        user(id="not allowed/here", model="m", openai={"fields": 1}),
    ],
)
def test_a_message_comes_back_equal(message: dict[str, Any]) -> None:
    assert there_and_back({"id": "s-1", "messages": [message]})["messages"] == [message]


@pytest.mark.parametrize(
    "line",
    [
        {"messages": []},
        {"id": None, "user": None, "title": None, "metadata": None, "messages": [user()]},
        {"id": 17, "user": 4, "messages": []},
        {"id": "with space/and slash", "user": "u", "metadata": {}, "messages": []},
        {
            "id": "s-1",
            "title": "Mine",
            "metadata": {"a": None, "openai": 1, "b": [2]},
            "messages": [],
        },
        {
            "id": "s-1",
            "created_at": "2024-05-01T10:00:00",
            "model": "m",
            "tools": [],
            "messages": [],
        },
    ],
)
def test_a_line_comes_back_equal(line: dict[str, Any]) -> None:
    assert there_and_back(line) == line


def test_real_conversations_come_back_equal(shared_data: Path) -> None:
    with gzip.open(shared_data) as file:
        for raw in file:
            line = from_json(raw)
            assert there_and_back(line) == line


def test_ids_that_are_allowed_are_kept_others_are_derived() -> None:
    messages = [user(id="m-1"), user(id="a b"), user(id="m-1"), user()]
    first = from_openai({"id": "a/b", "messages": messages})
    again = from_openai({"id": "a/b", "messages": messages})
    ids = [turn.data["turn_id"] for turn in first.turns]
    assert ids[0] == "m-1"
    assert len(set(ids)) == 4
    assert [check_id(id_, "turn_id") for id_ in ids] == ids
    assert first == again
    assert check_id(first.session_id, "session_id") != "a/b"
    assert from_openai({"id": "s-1", "messages": []}).session_id == "s-1"
    assert from_openai({"id": 1, "messages": []}).session_id != "1"


def test_without_an_id_the_content_is_the_id() -> None:
    one, two = ({"messages": [user(content=text)]} for text in ("one", "two"))
    assert from_openai(one).session_id == from_openai(dict(one)).session_id
    assert from_openai(one).session_id != from_openai(two).session_id


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (1_714_557_600, "2024-05-01T10:00:00.000000Z"),
        (1_714_557_600.25, "2024-05-01T10:00:00.250000Z"),
        (1_714_557_600_250, "2024-05-01T10:00:00.250000Z"),
        ("2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00.000000Z"),
        ("2024-05-01 10:00:00", "2024-05-01T10:00:00.000000Z"),
    ],
)
@pytest.mark.parametrize("name", ["created_at", "timestamp", "at"])
def test_times_are_read(name: str, value: Any, at: str) -> None:
    assert from_openai({"id": "s", "messages": [user(**{name: value})]}).turns[0].at == at


def test_a_turn_without_a_time_has_that_of_the_one_before() -> None:
    messages = [user(), user(at="2024-05-01T11:00:00Z"), user()]
    conversation = from_openai({"id": "s", "created_at": "2024-05-01", "messages": messages})
    hours = [turn.at and turn.at[11:13] for turn in conversation.turns]
    assert hours == ["00", "11", "11"]
    assert from_openai({"id": "s", "messages": [user()]}).turns[0].at is None


FAULTS: list[tuple[Any, str]] = [
    ([], "given a list; allowed is an object with messages"),
    ({}, "messages: given null; allowed is a list of messages"),
    ({"messages": ["x"]}, r"messages\.0: given a text; allowed is an object"),
    ({"messages": [{}]}, r"messages\.0\.role: given null; allowed: system, .*, tool, agent"),
    ({"messages": [user(), user(role="robot")]}, r"messages\.1\.role: given 'robot'"),
    ({"messages": [user(at="yesterday")]}, r"messages\.0\.at: given a text; allowed is a time"),
    ({"messages": [user(timestamp=1e300)]}, r"messages\.0\.timestamp: given a number"),
    ({"messages": [], "created_at": True}, r"^created_at: given true or false"),
    ({"messages": [], "id": {}}, "id: given an object"),
    ({"messages": [], "id": ""}, "id: given a text"),
    ({"messages": [], "user": []}, "user: given a list"),
    ({"messages": [], "metadata": 1}, "metadata: given a whole number"),
]


@pytest.mark.parametrize(("line", "message"), FAULTS)
def test_a_fault_is_named_by_its_place(line: Any, message: str) -> None:
    with pytest.raises(InvalidEvent, match=message):
        from_openai(line)
