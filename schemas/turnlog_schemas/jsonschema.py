"""JSON Schema (2020-12) of what is stored for an event: envelope and data, with an example each.

It says what any JSON Schema validator can check of what may be written now. What it cannot say: the
limits in bytes, that texts hold no lone surrogates, and that `user_id`, `project` and names hold no
U+0000.
"""

from typing import Any, cast

from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.events import CURRENT_VERSION, EVENT_TYPES, Envelope
from turnlog_schemas.limits import MAX_COMMENT, MAX_COUNT, MAX_REACTION, NEW_EVENT_TYPES

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DATA_EXAMPLES: dict[str, dict[str, Any]] = {
    "session.started": {
        "user_id": "u-1",
        "project": "sales",
        "visibility": "private",
        "metadata": {"channel": "web"},
    },
    "session.updated": {"title": "Revenue by region", "title_source": "user", "pinned": True},
    "session.cleared": {},
    "session.deleted": {},
    "session.restored": {},
    "session.erased": {},
    "turn.appended": {
        "turn_id": "t-1",
        "role": "assistant",
        "content": "Europe leads with 41 %.",
        "tool_calls": [
            {
                "id": "call-1",
                "type": "function",
                "function": {"name": "query", "arguments": '{"by": "region"}'},
            }
        ],
        "artifacts": [{"id": "chart-1", "kind": "chart", "mime": "image/png", "size": 18311}],
        "model": "m-large",
        "usage": {"input_tokens": 512, "output_tokens": 38},
        "response_time_ms": 812,
    },
    "turn.started": {"turn_id": "t-2", "role": "assistant", "model": "m-large"},
    "turn.completed": {
        "turn_id": "t-2",
        "role": "assistant",
        "content": "Asia follows with 33 %.",
        "usage": {"input_tokens": 580, "output_tokens": 21},
    },
    "turn.interrupted": {
        "turn_id": "t-2",
        "role": "assistant",
        "content": "Asia follows",
        "reason": "stopped by the user",
    },
    "turn.edited": {"turn_id": "t-1", "content": "Europe leads with 42 %.", "reason": "a typo"},
    "turn.retracted": {"turn_id": "t-1", "reason": "wrong session"},
    "turn.erased": {"turn_id": "t-1", "reason": "a pasted secret"},
    "turn.annotated": {"turn_id": "t-1", "kind": "rating", "value": 5, "by": "u-1"},
}


def _of_kind(kind: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "if": {"properties": {"kind": {"const": kind}}},
        "then": {"properties": {"value": value}, **more},
    }


_VALUE_FITS_KIND = {
    "allOf": [
        _of_kind(
            "rating",
            {"type": ["number", "boolean", "null"], "minimum": -MAX_COUNT, "maximum": MAX_COUNT},
        ),
        *(
            _of_kind(
                kind, {"type": "string", "minLength": 1, "maxLength": most}, required=["value"]
            )
            for kind, most in (("reaction", MAX_REACTION), ("comment", MAX_COMMENT))
        ),
    ]
}


def example(type_: str) -> dict[str, Any]:
    """A valid event of a type, as an object."""
    return {
        "event_id": "0198c5a2-7b1e-7c3d-9f20-5b6a1c2d3e4f",
        "type": _known(type_),
        "version": CURRENT_VERSION[type_],
        "at": "2026-01-31T12:00:00.000000Z",
        "actor": {"kind": "user", "id": "u-1"},
        "data": _DATA_EXAMPLES[type_],
    }


def event_schema(type_: str) -> dict[str, Any]:
    """The schema of one event type, envelope included; stands alone. Raises `InvalidEvent` for a
    type that this release does not know."""
    model = NEW_EVENT_TYPES[_known(type_)]
    data = model.model_json_schema()
    if type_ == "turn.annotated":
        data |= _VALUE_FITS_KIND
    envelope = Envelope.model_json_schema()
    definitions: dict[str, Any] = {**envelope.pop("$defs", {}), **data.pop("$defs", {})}
    properties = cast(dict[str, Any], envelope["properties"])
    properties["type"] = {"const": type_}
    properties["version"] = {"const": CURRENT_VERSION[type_]}
    properties["at"] = {"type": "string", "format": "date-time"}
    properties["data"] = data
    envelope |= {"title": type_, "description": data.pop("description", "")}
    data["title"] = f"data of {type_}"
    return {
        "$schema": DIALECT,
        **envelope,
        "examples": [example(type_)],
        "$defs": definitions,
    }


def log_schema() -> dict[str, Any]:
    """One schema of every event type that this release knows. A log may hold further ones: a reader
    keeps them and goes on."""
    definitions: dict[str, Any] = {}
    types: list[dict[str, Any]] = []
    for type_ in EVENT_TYPES:
        schema = event_schema(type_)
        del schema["$schema"]
        definitions |= schema.pop("$defs")
        types.append(schema)
    return {
        "$schema": DIALECT,
        "title": "An event of a Turnlog log",
        "oneOf": types,
        "$defs": definitions,
    }


def _known(type_: str) -> str:
    if type_ not in EVENT_TYPES:
        raise InvalidEvent(f"type: given {type_[:60]!r}; allowed: {', '.join(EVENT_TYPES)}")
    return type_
