"""Stubs: what stays in the log of an event that was erased. Nothing but an erasure writes them.

A stub has the seq, event_id and recorded_at of the event that it stands for, and in its bytes
`"erased": <seq of the erasing event>`. Of an erased session no event keeps any data; of an erased
turn they keep what the fold needs so that the turns around it stay as they are: which turn it was,
its role and parent, and what it cost.
"""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import to_json

from turnlog_schemas.events import MAX_VERSION, TYPE_PATTERN, Id, Name, Role

UNREADABLE = "event.unreadable"
"""The type of a stub whose event could not be read."""

PLACING = frozenset({"turn.appended", "turn.started", "turn.completed", "turn.interrupted"})
"""The types of events that begin a turn, when nothing of it was there before."""

_COUNTER = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEYS = frozenset({"event_id", "type", "version", "at", "erased", "data"})


class StubData(BaseModel):
    """What a stub may hold: no field in which people write."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    turn_id: Id | None = None
    role: Role | None = None
    parent_turn_id: Id | None = None
    model: Name | None = None
    usage: dict[str, int] | None = None
    response_time_ms: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _names_its_turn(self) -> "StubData":
        if self.turn_id is None and self.model_fields_set:
            raise ValueError("what it tells of a turn needs a turn_id")
        return self


class _Stub(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    event_id: Id
    type: Annotated[str, Field(pattern=TYPE_PATTERN, max_length=64)]
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    at: str
    erased: Annotated[int, Field(ge=1)]
    data: StubData


_stub = TypeAdapter(_Stub).validator


def is_stub(envelope: Any) -> bool:
    """Whether the JSON of an event is that of a stub, and holds nothing else."""
    if type(envelope) is not dict or envelope.keys() != _KEYS:
        return False
    try:
        _stub.validate_python(envelope)
    except ValidationError:
        return False
    return True


def make_stub(
    event_id: str, type_: str, version: int, at: str, erased: int, data: dict[str, Any]
) -> bytes:
    """The bytes of a stub."""
    return to_json(
        {
            "event_id": event_id,
            "type": type_,
            "version": version,
            "at": at,
            "erased": erased,
            "data": data,
        }
    )


def placing_data(type_: str, data: dict[str, Any]) -> dict[str, Any]:
    """Of the data of an event that may begin a turn, what its stub keeps."""
    kept = {key: data[key] for key in ("turn_id", "role") if key in data}
    if "parent_turn_id" in data:  # null is not the same as absent
        kept["parent_turn_id"] = data["parent_turn_id"]
    if data.get("model") is not None:
        kept["model"] = data["model"]
    if type_ == "turn.started":
        return kept  # the rest only a whole turn holds
    if data.get("response_time_ms") is not None:
        kept["response_time_ms"] = data["response_time_ms"]
    usage: dict[str, Any] = data.get("usage") or {}
    counters = {k: v for k, v in usage.items() if type(v) is int and _COUNTER.fullmatch(k)}
    if counters:
        kept["usage"] = counters
    return kept
