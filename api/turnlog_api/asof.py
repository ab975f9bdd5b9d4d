"""`as_of`: the moment that a reader wants to see, a seq or a time."""

from typing import NamedTuple

from turnlog_schemas import times
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.rows import LAST_SEQ


class AsOf(NamedTuple):
    """After the event `seq`, or after the last event recorded up to `moment` (ms since 1970)."""

    seq: int | None
    moment: int | None


def time_of(text: str) -> str:
    """A time in UTC. Raises `ValueError`, without the text: it may hold anything."""
    try:
        return times.normalise(text)
    except InvalidEvent as error:
        raise ValueError(str(error).removeprefix("at: ").rpartition("; ")[2]) from None


def normal(text: str) -> str:
    """A seq without leading zeros, or a time in UTC. Raises `ValueError` for anything else."""
    if text.isascii() and text.isdecimal():
        if int(text) > LAST_SEQ:
            raise ValueError("given a seq that no session reaches")
        return str(int(text))
    try:
        return times.normalise(text)
    except InvalidEvent:
        raise ValueError(
            "allowed is a seq, or a time with its offset such as 2026-01-31T12:00:00Z"
        ) from None


def parse(text: str) -> AsOf:
    """The moment that a normal text names."""
    if text.isdecimal():
        return AsOf(int(text), None)
    return AsOf(None, times.to_ms(text))
