"""Events to bytes and back: what is refused, with which words, and what is kept."""

from collections import OrderedDict
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from turnlog_schemas import times
from turnlog_schemas.codec import RecordedEvent, decode, encode
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.ids import check_id, derived_id, new_id, partition_of
from turnlog_schemas.upcast import Upcaster, upcast

AT = "2026-01-31T12:00:00.000000Z"


def stored(type_: str = "turn.appended", **data: Any) -> bytes:
    if type_ == "turn.appended":
        data = {"turn_id": "t-1", "role": "user", **data}
    return encode(type_, data, event_id="e-1", at=AT)


def read(raw: bytes) -> RecordedEvent:
    return decode(raw, tenant="acme", session_id="s-1", seq=1, recorded_at=1_900_000_000_000)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "nul \0 \u202e\u05e9\u05dc\u05d5\u05dd \U0001f9d1\u200d\U0001f680",
        None,
        [],
        [{"type": "x", "n": 1e300}],
    ],
)
def test_content_comes_back_as_it_was(content: Any) -> None:
    assert read(stored(content=content)).data["content"] == content


def test_unlisted_fields_are_kept_everywhere() -> None:
    raw = encode(
        "turn.appended",
        {"turn_id": "t-1", "role": "user", "x": {"deep": [None, 2**80]}},
        event_id="e-1",
        at=AT,
        actor={"kind": "robot", "arm": "left"},
        trace={"span": "1"},
    )
    event = read(raw)
    assert event.data["x"] == {"deep": [None, 2**80]}
    assert event.actor == {"kind": "robot", "arm": "left"}
    assert from_json(raw)["trace"] == {"span": "1"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"role": "robot"}, r"data\.role: given 'robot'; input should be 'system', .* or 'agent'"),
        ({"role": None}, r"data\.role: given null"),
        ({"turn_id": "a b"}, r"data\.turn_id: given 'a b'"),
        ({"turn_id": "t" * 129}, r"data\.turn_id"),
        ({"content": 7}, r"data\.content: given a whole number"),
        ({"content": ["x"]}, r"data\.content"),
        ({"tool_calls": {"id": 1}}, r"data\.tool_calls: given an object"),
        ({"usage": {"input_tokens": -1}}, r"data\.usage\.input_tokens: given a whole number"),
        ({"usage": {"input_tokens": True}}, r"data\.usage\.input_tokens: given true or false"),
        ({"artifacts": [{"kind": "x"}]}, r"data\.artifacts\.0\.id: missing"),
        ({"response_time_ms": "fast"}, r"data\.response_time_ms: given a text"),
        ({"content": "\ud800"}, r"turn\.appended: not representable as JSON: .* lone surrogate"),
        ({"metadata": {"x": float("nan")}}, r"data\.metadata\.x: given a number; .* finite"),
        ({"anything": float("nan")}, r"NaN and infinity are no JSON numbers"),
        ({"anything": (float("nan"),)}, r"NaN and infinity are no JSON numbers"),
        (
            {"anything": OrderedDict[str, float](x=float("inf"))},
            r"NaN and infinity are no JSON numbers",
        ),
        ({"usage": {"x": float("inf")}}, r"data\.usage\.x: given a number; .* finite"),
        ({"response_time_ms": "12"}, r"data\.response_time_ms: given a text"),
        ({"name": "a\0b"}, r"data\.name: .*U\+0000"),
    ],
)
def test_a_fault_names_field_given_and_allowed(data: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEvent, match=message):
        stored(**data)


def test_an_error_never_repeats_what_people_wrote() -> None:
    with pytest.raises(InvalidEvent) as caught:
        stored(content={"text": "my password"}, name=["my password"])
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value"), [("rating", "five"), ("reaction", 5), ("comment", ""), ("comment", None)]
)
def test_an_annotation_must_fit_its_kind(kind: str, value: Any) -> None:
    with pytest.raises(InvalidEvent, match=f"the value of a {kind} is a "):
        stored("turn.annotated", turn_id="t-1", kind=kind, value=value)


@pytest.mark.parametrize(
    ("type_", "data", "message"),
    [
        (
            "session.started",
            {"metadata": {"k": "x" * 262_144}},
            r"data\.metadata: given an object; is 262,152 bytes of JSON; allowed are 262,144$",
        ),
        (
            "session.updated",
            {"metadata": {str(n): n for n in range(257)}},
            r"data\.metadata: given an object; holds 257 keys; allowed are 256$",
        ),
        (
            "session.updated",
            {"metadata": {"k" * 257: 1}},
            r"data\.metadata: .* allowed are 1 to 256 characters$",
        ),
        ("session.updated", {"metadata": {"": 1}}, r"data\.metadata: .* allowed are 1 to 256 "),
        (
            "turn.appended",
            {"usage": {"cached": 2**53 + 1}},
            r"data\.usage: given an object; cached is out of range; allowed are 0 to 2\*\*53$",
        ),
        ("turn.appended", {"usage": {"cost": -0.1}}, r"data\.usage: .*cost is out of range"),
        (
            "turn.completed",
            {"usage": {str(n): n for n in range(65)}},
            r"data\.usage: given an object; holds 65 keys; allowed are 64$",
        ),
        ("turn.interrupted", {"usage": {"k" * 129: 1}}, r"data\.usage: .* 1 to 128 characters$"),
        (
            "turn.appended",
            {"usage": {"details": {"note": "x" * 16_384}}},
            r"data\.usage: .* bytes of JSON; allowed are 16,384$",
        ),
        (
            "turn.annotated",
            {"kind": "comment", "value": "x" * 10_001},
            r"data: .* the value of a comment is 10,001 characters; allowed are 10,000$",
        ),
        (
            "turn.annotated",
            {"kind": "reaction", "value": "x" * 129},
            r"data: .* the value of a reaction is 129 characters; allowed are 128$",
        ),
        (
            "turn.annotated",
            {"kind": "rating", "value": 1e16},
            r"data: .* the value of a rating is out of range; allowed are ±2\*\*53$",
        ),
    ],
)
def test_what_grows_with_a_session_is_bounded(
    type_: str, data: dict[str, Any], message: str
) -> None:
    required = {"turn_id": "t-1", "role": "user"} if type_.startswith("turn.") else {}
    with pytest.raises(InvalidEvent, match=message):
        encode(type_, {**required, **data}, event_id="e-1", at=AT)


def test_the_largest_that_may_be_written() -> None:
    encode(
        "session.started",
        {"metadata": {f"{n:0256}": "x" * 700 for n in range(256)}},
        event_id="e-1",
        at=AT,
    )
    usage = {f"{n:0128}": 2**53 for n in range(62)} | {"input_tokens": 1, "output_tokens": 2**53}
    stored(usage=usage)
    for kind, value in (("comment", "x" * 10_000), ("reaction", "x" * 128), ("rating", -(2**53))):
        stored("turn.annotated", turn_id="t-1", kind=kind, value=value)


def test_an_unknown_type_cannot_be_written() -> None:
    with pytest.raises(
        InvalidEvent, match=r"type: given 'turn\.sung'; allowed: session\.started, "
    ):
        stored("turn.sung")


def test_an_unknown_type_can_be_read() -> None:
    raw = to_json({"event_id": "e", "type": "turn.sung", "version": 9, "at": AT, "data": {"a": 1}})
    event = read(raw)
    assert (event.type, event.version, event.data) == ("turn.sung", 9, {"a": 1})


def test_a_newer_version_of_a_known_type_asks_for_an_upgrade() -> None:
    fields = {**from_json(stored()), "version": 2}
    with pytest.raises(InvalidEvent, match=r"given 2 of turn\.appended.*upgrade"):
        read(to_json(fields))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"event_id": "e"}',
        stored().replace(b'"at":"2026', b'"at":"x026'),
        stored().replace(b"Z", b""),
        stored().replace(b'"user"', b'"robot"'),
        stored().replace(b'"t-1"', b'"\\ud800"'),
        stored().replace(b'"t-1"', b"NaN"),
        stored().replace(b'"data":{', b'"data":{"metadata":{"x":1e999},'),
        stored().replace(b'"data":{', b'"data":{"usage":{"x":1e999},'),
        b"\xff" + stored(),
        b'{"a":' * 300 + b"1" + b"}" * 300,
    ],
)
def test_bytes_that_are_no_event_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidEvent):
        read(raw)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-01-31T12:00:00Z", AT),
        ("2026-01-31T13:00:00+01:00", AT),
        ("2026-01-31T12:00:00.1234567Z", "2026-01-31T12:00:00.123456Z"),
        (AT, AT),
    ],
)
def test_times_are_utc_with_six_digits(given: str, expected: str) -> None:
    assert times.normalise(given) == expected


@pytest.mark.parametrize(
    "given", ["", "yesterday", "2026-01-31T12:00:00", "9999-12-31T23:59:59-10:00"]
)
def test_a_time_that_means_no_one_moment_is_refused(given: str) -> None:
    with pytest.raises(InvalidEvent, match="at: "):
        times.normalise(given)


def test_ids() -> None:
    assert check_id("A-z.0_~", "turn_id") == "A-z.0_~"
    for wrong in ("", "a b", "a/b", "a:b", "\u00e9", "a\n", "x" * 129):
        with pytest.raises(InvalidEvent, match=r"turn_id: given .*allowed are"):
            check_id(wrong, "turn_id")
    assert check_id(new_id(), "event_id")[14] == "7"
    assert derived_id("a", "bc") != derived_id("ab", "c")
    assert derived_id("a", "bc") == derived_id("a", "bc")


def test_a_partition_is_the_crc_of_tenant_and_session() -> None:
    assert partition_of("default", "s-42", 64) == 17


def test_old_versions_are_lifted_step_by_step() -> None:
    steps: dict[tuple[str, int], Upcaster] = {
        ("x.y", 1): lambda data: {**data, "two": True},
        ("x.y", 2): lambda data: {**data, "three": True},
    }
    assert upcast("x.y", 1, {}, upcasters=steps) == {"two": True, "three": True}
    assert upcast("x.y", 3, {"as": "it is"}, upcasters=steps) == {"as": "it is"}


def test_data_that_cannot_be_lifted_is_an_invalid_event() -> None:
    steps: dict[tuple[str, int], Upcaster] = {("x.y", 1): lambda data: {"new": data["secret"]}}
    with pytest.raises(InvalidEvent, match=r"version 1 of x.y cannot be lifted to 2: KeyError"):
        upcast("x.y", 1, {"other": "text"}, upcasters=steps)
