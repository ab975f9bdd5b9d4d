"""Times as Turnlog writes them: RFC 3339, UTC, six digits, so that text order is time order."""

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from turnlog_schemas.errors import InvalidEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NORMAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_LEAP = re.compile(r"(.+:\d\d):60(?:[.,]\d+)?(Z|[+-].+)")


def now() -> str:
    """The clock of this process."""
    return from_ns(time.time_ns())


def from_ns(nanoseconds: int) -> str:
    """Nanoseconds since 1970 as text; digits below a microsecond are cut."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    moment = time.gmtime(seconds)
    return (
        f"{moment[0]:04d}-{moment[1]:02d}-{moment[2]:02d}T"
        f"{moment[3]:02d}:{moment[4]:02d}:{moment[5]:02d}"
    )


def from_ms(milliseconds: int) -> str:
    """Milliseconds since 1970 (Redis' `t`) as text."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}000Z"


def to_ms(text: str) -> int:
    """Text as milliseconds since 1970, rounded down."""
    return (datetime.fromisoformat(normalise(text)) - _EPOCH) // timedelta(milliseconds=1)


def normalise(value: str | datetime) -> str:
    """Any RFC 3339 time with an offset, in the form above. Raises `InvalidEvent` for anything else:
    a time without an offset would mean another moment on another machine."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise InvalidEvent(
            f"at: given {str(value)[:40]!r}; allowed is a time such as 2026-01-31T12:00:00Z"
        ) from None
    if isinstance(value, str) and _NORMAL.fullmatch(value):
        return value
    if moment.tzinfo is None:
        raise InvalidEvent("at: the time has no UTC offset; add one, such as Z or +01:00")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise InvalidEvent("at: the time lies outside the years 1 to 9999 in UTC") from None
    return moment.strftime("%Y").zfill(4) + moment.strftime("-%m-%dT%H:%M:%S.%fZ")


def as_logged(value: str) -> str:
    """The same of a time that is in the log already. Producers in other languages may write what
    RFC 3339 allows and Python cannot read: small letters, and a leap second, which counts as the
    end of the second before."""
    try:
        return normalise(value)
    except InvalidEvent:
        text = value.upper()
        leap = _LEAP.fullmatch(text)
        if leap is not None:
            text = f"{leap[1]}:59.999999{leap[2]}"
        if text == value:
            raise
        return normalise(text)
