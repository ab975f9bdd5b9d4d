"""`as_of`: the moment that a reader wants to see, a seq or a time."""

from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

from turnlog_api.params import ReadParams, TurnsParams
from turnlog_schemas import times
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.rows import LAST_SEQ


class AsOf(NamedTuple):
    """After the event `seq`, or after the last event recorded up to `moment` (ms since 1970)."""

    seq: int | None
    moment: int | None


def _normal(value: str) -> str:
    if value.isascii() and value.isdecimal():
        if int(value) > LAST_SEQ:
            raise ValueError("given a seq that no session reaches")
        return str(int(value))
    try:
        return times.normalise(value)
    except InvalidEvent:
        raise ValueError(
            "allowed is a seq, or a time with its offset such as 2026-01-31T12:00:00Z (in an "
            "address + is written %2B)"
        ) from None


AsOfText = Annotated[
    str | None,
    AfterValidator(lambda value: None if value is None else _normal(value)),
    Field(
        description="Show it as it was after this event (a seq), or after the last event that the "
        "log recorded up to this time (RFC 3339). Erased text is never shown."
    ),
]


class SessionParams(ReadParams):
    as_of: AsOfText = None


class TurnsAsOfParams(TurnsParams):
    as_of: AsOfText = None


def parse(text: str) -> AsOf:
    """The moment that a checked `as_of` names."""
    if text.isdecimal():
        return AsOf(int(text), None)
    return AsOf(None, times.to_ms(text))
