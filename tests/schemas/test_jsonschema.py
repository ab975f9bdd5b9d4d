"""The JSON Schemas: valid themselves, and of one mind with the codec."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from turnlog_schemas.codec import encode
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.events import EVENT_TYPES
from turnlog_schemas.jsonschema import event_schema, example, log_schema


def validator(type_: str) -> Draft202012Validator:
    schema = event_schema(type_)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def encoded(event: dict[str, Any]) -> bytes:
    return encode(
        event["type"],
        event["data"],
        event_id=event["event_id"],
        at=event["at"],
        actor=event.get("actor"),
    )


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_the_example_of_a_type_is_valid_for_schema_and_codec(type_: str) -> None:
    event = example(type_)
    validator(type_).validate(event)
    assert encoded(event)


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_a_field_that_is_not_listed_is_allowed(type_: str) -> None:
    event = example(type_)
    event["data"] = {**event["data"], "x_custom": [1, {"a": None}]}
    validator(type_).validate(event)
    assert encoded(event)


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("turn.appended", {"turn_id": "a b"}),
    ("turn.appended", {"role": "robot"}),
    ("turn.appended", {"content": 7}),
    ("turn.appended", {"content": ["a"]}),
    ("turn.appended", {"usage": {"input_tokens": -1}}),
    ("turn.appended", {"artifacts": [{"kind": "chart"}]}),
    ("turn.appended", {"response_time_ms": -0.5}),
    ("session.started", {"visibility": "public"}),
    ("session.started", {"user_id": "u" * 257}),
    ("session.updated", {"pinned": "yes"}),
    ("turn.annotated", {"kind": "stars"}),
    ("turn.annotated", {"kind": "rating", "value": "five"}),
    ("turn.annotated", {"kind": "comment", "value": 5}),
    ("turn.annotated", {"kind": "comment", "value": ""}),
    ("turn.annotated", {"kind": "comment", "value": "x" * 10_001}),
    ("turn.annotated", {"kind": "reaction", "value": "x" * 129}),
    ("turn.annotated", {"kind": "reaction", "value": None}),
    ("turn.annotated", {"kind": "rating", "value": 2**53 + 1}),
    ("turn.appended", {"usage": {"cached": 2**53 + 1}}),
    ("turn.completed", {"usage": {"cost": -0.5}}),
    ("turn.completed", {"usage": {"k" * 129: 1}}),
    ("turn.interrupted", {"usage": {str(n): n for n in range(65)}}),
    ("session.started", {"metadata": {"k" * 257: 1}}),
    ("session.updated", {"metadata": {str(n): n for n in range(257)}}),
]


@pytest.mark.parametrize(("type_", "change"), FAULTS, ids=lambda value: str(value)[:60])
def test_what_the_codec_refuses_the_schema_refuses_too(type_: str, change: dict[str, Any]) -> None:
    event = example(type_)
    event["data"] = {**event["data"], **change}
    assert not validator(type_).is_valid(event)
    with pytest.raises(InvalidEvent):
        encoded(event)


def test_the_schema_of_the_log_tells_the_types_apart() -> None:
    schema = log_schema()
    Draft202012Validator.check_schema(schema)
    whole = Draft202012Validator(schema)
    for type_ in EVENT_TYPES:
        whole.validate(example(type_))
    assert not whole.is_valid({**example("session.cleared"), "type": "session.unheard_of"})


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidEvent, match=r"turn\.append'; allowed: session\.started, "):
        event_schema("turn.append")
