"""A fault is found in what was given, whatever steps pydantic names on the way."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from turnlog_schemas.limits import NEW_EVENT_TYPES
from turnlog_schemas.places import Place, place_of

TURN = {"turn_id": "t", "role": "user"}


def places(type_: str, data: dict[str, Any]) -> set[Place]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(NEW_EVENT_TYPES[type_]).validate_python(data)
    return {place_of(fault, data) for fault in caught.value.errors()}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"role": 5}, ("role",)),
        ({"content": 5}, ("content",)),
        ({"content": {"str": 1}}, ("content",)),
        ({"content": {"str": {"str": 1}}}, ("content",)),
        ({"artifacts": [{"id": "a"}, {"kind": "x"}]}, ("artifacts", 1, "id")),
        ({"artifacts": [{"id": "a", "size": -1}]}, ("artifacts", 0, "size")),
        ({"usage": {"input_tokens": "1"}}, ("usage", "input_tokens")),
        ({"metadata": {"a": [{"dict": object()}]}}, ("metadata", "a", 0, "dict")),
        ({"metadata": {"int": {"str": {1}}}}, ("metadata", "int", "str")),
        ({"tool_calls": [{}, {"f": float("nan")}]}, ("tool_calls", 1, "f")),
        ({"parent_turn_id": "a b"}, ("parent_turn_id",)),
    ],
)
def test_the_place_lies_in_what_was_given(data: dict[str, Any], expected: Place) -> None:
    assert places("turn.appended", {**TURN, **data}) == {expected}


def test_a_part_that_is_wrong_is_named_beside_the_whole() -> None:
    found = places("turn.appended", {**TURN, "content": [{"type": "text"}, "list"]})
    assert found == {("content",), ("content", 1)}


def test_what_is_missing_has_the_place_that_it_should_have() -> None:
    assert places("turn.appended", {"role": "user"}) == {("turn_id",)}


def test_what_concerns_several_fields_has_the_place_of_the_whole() -> None:
    data = {"turn_id": "t", "kind": "comment", "value": 5}
    assert places("turn.annotated", data) == {()}
