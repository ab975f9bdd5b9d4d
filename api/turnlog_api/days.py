"""Days of a time zone, as what statistics are told by: which instants belong to which day."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from turnlog_schemas import times
from turnlog_schemas.errors import InvalidEvent

DEFAULT_DAYS = 30
MAX_DAYS = 366

_ZONE = re.compile(r"(?!posix/|right/)[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_YEARS = range(1970, 9000)


class BadRange(ValueError):
    """A `parameter` that no range can be made of; the text says what is allowed, and nothing of
    what was given."""

    def __init__(self, parameter: str, detail: str) -> None:
        super().__init__(detail)
        self.parameter = parameter
        self.detail = detail


class Days(NamedTuple):
    """The days of `zone` from `since` up to, and without, `until`. The first and the last may be
    parts of a day."""

    zone: str
    since: str
    until: str
    names: list[str]
    starts: list[str]
    """When each of the days begins; the first with `since`."""


def days(since: str | None, until: str | None, zone: str, *, now: datetime) -> Days:
    """The days of a range. Both ends are a time (RFC 3339) or a day of the zone (2026-01-31), which
    stands for its beginning.

    Without `until` it ends with the day of `now`, without `since` it has 30 days. Raises
    `BadRange`, also for more than 366 days.
    """
    in_zone = _zone(zone)
    today = now.astimezone(in_zone).date()
    if until is None:
        end = _begins(today + timedelta(days=1), in_zone)
    else:
        end = _instant("until", until, in_zone)
    if since is None:
        last = (end - timedelta(microseconds=1)).astimezone(in_zone).date()
        start = _begins(last - timedelta(days=DEFAULT_DAYS - 1), in_zone)
    else:
        start = _instant("since", since, in_zone)
    if start >= end:
        raise BadRange("since" if until is None else "until", "must be later than since")
    if end - start > timedelta(days=MAX_DAYS + 1):
        raise _too_long()
    names, starts = _split(start, end, in_zone)
    if len(names) > MAX_DAYS:
        raise _too_long()
    return Days(
        zone, times.normalise(start), times.normalise(end), names, [*map(times.normalise, starts)]
    )


def _split(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[list[str], list[datetime]]:
    day = start.astimezone(zone).date()
    names, starts = [day.isoformat()], [start]
    while True:
        day += timedelta(days=1)
        begins = _begins(day, zone)
        if begins >= end:
            return names, starts
        if begins > starts[-1]:
            names.append(day.isoformat())
            starts.append(begins)
        else:  # a zone that crosses the date line leaves a day out
            names[-1] = day.isoformat()


def _begins(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day: not midnight where clocks go from there to one, and the first of
    two midnights."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _instant(parameter: str, given: str, zone: ZoneInfo) -> datetime:
    try:
        if _DAY.fullmatch(given):
            day = date.fromisoformat(given)
            if day.year in _YEARS:
                return _begins(day, zone)
        else:
            moment = datetime.fromisoformat(times.normalise(given))
            if moment.year in _YEARS:
                return moment
    except (InvalidEvent, ValueError):
        pass
    raise BadRange(
        parameter, "must be a day such as 2026-01-31 or a time such as 2026-01-31T12:00:00Z"
    ) from None


def _zone(name: str) -> ZoneInfo:
    if _ZONE.fullmatch(name) is not None:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # told below
    raise BadRange("tz", "must be the IANA name of a time zone, such as Europe/Berlin") from None


def _too_long() -> BadRange:
    return BadRange("since", f"the range may have {MAX_DAYS} days at most")
