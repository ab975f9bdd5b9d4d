"""What a producer may write is narrower than what a reader takes: bounds for fields that a session
keeps, or that every page shows, and that otherwise only the size of an event would bound.

They are asked when an event is made, never when one is read: what is in a log folds, however large.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import to_json

from turnlog_schemas.events import (
    EVENT_TYPES,
    JsonObject,
    SessionStarted,
    SessionUpdated,
    TurnAnnotated,
    TurnAppended,
    TurnCompleted,
    TurnInterrupted,
    Usage,
)

MAX_METADATA_KEYS = 256
MAX_METADATA_KEY = 256
MAX_METADATA_BYTES = 256 * 1024
MAX_USAGE_KEYS = 64
MAX_USAGE_KEY = 128
MAX_USAGE_BYTES = 16 * 1024
MAX_COUNT = 2**53
MAX_REACTION = 128
MAX_COMMENT = 10_000


def _keys_within(value: dict[str, Any], most: int, longest: int) -> None:
    if len(value) > most:
        raise ValueError(f"holds {len(value):,} keys; allowed are {most:,}")
    if any(not 1 <= len(key) <= longest for key in value):
        raise ValueError(f"a key is empty or too long; allowed are 1 to {longest} characters")


def _json_within(value: dict[str, Any], most: int) -> None:
    try:
        size = len(to_json(value, inf_nan_mode="constants"))
    except ValueError:  # whoever makes the event's bytes says what JSON cannot hold
        return
    if size > most:
        raise ValueError(f"is {size:,} bytes of JSON; allowed are {most:,}")


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    _keys_within(value, MAX_METADATA_KEYS, MAX_METADATA_KEY)
    _json_within(value, MAX_METADATA_BYTES)
    return value


def _usage(value: Usage) -> Usage:
    further = value.__pydantic_extra__
    if not further:
        return value
    _keys_within(dict.fromkeys(value.model_fields_set), MAX_USAGE_KEYS, MAX_USAGE_KEY)
    numbers = {k: v for k, v in further.items() if type(v) is int or type(v) is float}
    for name, number in numbers.items():
        if not 0 <= number <= MAX_COUNT:
            raise ValueError(f"{name} is out of range; allowed are 0 to 2**53")
    if len(numbers) < len(further):
        _json_within(further, MAX_USAGE_BYTES)
    return value


SessionMetadata = Annotated[
    JsonObject,
    AfterValidator(_metadata),
    Field(
        json_schema_extra={
            "maxProperties": MAX_METADATA_KEYS,
            "propertyNames": {"minLength": 1, "maxLength": MAX_METADATA_KEY},
        }
    ),
]

NewUsage = Annotated[
    Usage,
    AfterValidator(_usage),
    Field(
        json_schema_extra={
            "maxProperties": MAX_USAGE_KEYS,
            "propertyNames": {"minLength": 1, "maxLength": MAX_USAGE_KEY},
            "additionalProperties": {"minimum": 0, "maximum": MAX_COUNT},
        }
    ),
]


class NewSessionStarted(SessionStarted):
    __doc__ = SessionStarted.__doc__

    metadata: SessionMetadata | None = None


class NewSessionUpdated(SessionUpdated):
    __doc__ = SessionUpdated.__doc__

    metadata: SessionMetadata | None = None


class NewTurnAppended(TurnAppended):
    __doc__ = TurnAppended.__doc__

    usage: NewUsage | None = None


class NewTurnCompleted(TurnCompleted):
    __doc__ = TurnCompleted.__doc__

    usage: NewUsage | None = None


class NewTurnInterrupted(TurnInterrupted):
    __doc__ = TurnInterrupted.__doc__

    usage: NewUsage | None = None


class NewTurnAnnotated(TurnAnnotated):
    __doc__ = TurnAnnotated.__doc__

    @model_validator(mode="after")
    def _value_within(self) -> "NewTurnAnnotated":
        value = self.value
        if isinstance(value, str):
            most = MAX_REACTION if self.kind == "reaction" else MAX_COMMENT
            if len(value) > most:
                raise ValueError(
                    f"the value of a {self.kind} is {len(value):,} characters; allowed are {most:,}"
                )
        elif value is not None and not -MAX_COUNT <= value <= MAX_COUNT:
            raise ValueError("the value of a rating is out of range; allowed are ±2**53")
        return self


NEW_EVENT_TYPES: dict[str, type[BaseModel]] = {
    **EVENT_TYPES,
    "session.started": NewSessionStarted,
    "session.updated": NewSessionUpdated,
    "turn.appended": NewTurnAppended,
    "turn.completed": NewTurnCompleted,
    "turn.interrupted": NewTurnInterrupted,
    "turn.annotated": NewTurnAnnotated,
}
"""The data of each event type, as a producer may write it now."""
