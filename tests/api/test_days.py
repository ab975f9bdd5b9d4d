"""Which instants belong to which day, and which ranges are refused."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from turnlog_api.days import BadRange, Days, days

NOW = datetime(2026, 3, 29, 22, 30, tzinfo=UTC)


def of(since: str | None, until: str | None, zone: str = "UTC") -> Days:
    return days(since, until, zone, now=NOW)


def hours(asked: Days) -> list[float]:
    """How long each day is."""
    ends = [*asked.starts[1:], asked.until]
    lasts = [
        datetime.fromisoformat(end) - datetime.fromisoformat(start)
        for start, end in zip(asked.starts, ends, strict=True)
    ]
    return [each / timedelta(hours=1) for each in lasts]


def test_without_a_range_it_is_thirty_days_to_the_end_of_today() -> None:
    asked = of(None, None)
    assert (asked.names[0], asked.names[-1], len(asked.names)) == ("2026-02-28", "2026-03-29", 30)
    assert asked.until == "2026-03-30T00:00:00.000000Z"
    # In Tokyo it is the next day already.
    assert of(None, None, "Asia/Tokyo").names[-1] == "2026-03-30"
    assert of(None, "2026-01-31").names[0] == "2026-01-01"
    assert of(None, "2026-01-31T00:00:00.000001Z").names[0] == "2026-01-02"
    assert of("2026-03-28", None).names == ["2026-03-28", "2026-03-29"]


@pytest.mark.parametrize(
    ("zone", "since", "until", "expected"),
    [
        ("Europe/Berlin", "2026-03-28", "2026-03-31", [24, 23, 24]),
        ("Europe/Berlin", "2026-10-24", "2026-10-27", [24, 25, 24]),
        ("Australia/Lord_Howe", "2026-04-04", "2026-04-07", [24, 24.5, 24]),
        ("Asia/Kolkata", "2026-03-28", "2026-03-31", [24, 24, 24]),
        # Clocks go from midnight to one, and from one back to midnight.
        ("Africa/Cairo", "2026-04-23", "2026-04-26", [24, 23, 24]),
        ("America/Havana", "2026-10-31", "2026-11-03", [24, 25, 24]),
        # There was no 30 December.
        ("Pacific/Apia", "2011-12-29", "2012-01-01", [24, 24]),
    ],
)
def test_days_are_as_long_as_they_are(
    zone: str, since: str, until: str, expected: list[float]
) -> None:
    assert hours(of(since, until, zone)) == expected


def test_a_half_hour_zone_begins_its_days_at_half_past() -> None:
    assert of("2026-01-01", "2026-01-02", "Asia/Kolkata").starts == ["2025-12-31T18:30:00.000000Z"]


def test_a_range_may_begin_and_end_within_a_day() -> None:
    asked = of("2026-01-01T20:00:00+01:00", "2026-01-03T01:00:00Z", "Europe/Berlin")
    assert asked.names == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert hours(asked) == [4, 24, 2]
    assert of("2026-01-01T20:00:00Z", "2026-01-02").names == ["2026-01-01"]


_FIRST = datetime(2015, 1, 1)  # noqa: DTZ001 - hypothesis adds the time zone
_LAST = datetime(2030, 1, 1)  # noqa: DTZ001


@given(
    zone=st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Africa/Cairo"]),
    since=st.datetimes(_FIRST, _LAST, timezones=st.just(UTC)),
    length=st.timedeltas(timedelta(microseconds=1), timedelta(days=40)),
    place=st.floats(0, 1, exclude_max=True),
)
@example("America/Havana", datetime(2026, 10, 30, tzinfo=UTC), timedelta(days=5), 0.5)
def test_every_instant_is_of_the_day_that_its_clock_shows(
    zone: str, since: datetime, length: timedelta, place: float
) -> None:
    asked = of(since.isoformat(), (since + length).isoformat(), zone)
    moment = since + length * place
    starts = [datetime.fromisoformat(each) for each in asked.starts]
    [*_, day] = [n for n, s in zip(asked.names, starts, strict=True) if s <= moment]
    assert day == moment.astimezone(ZoneInfo(zone)).date().isoformat()


@pytest.mark.parametrize(
    ("since", "until", "zone", "parameter"),
    [
        ("2026-01-02", "2026-01-02", "UTC", "until"),
        ("2026-01-02", "2026-01-01", "UTC", "until"),
        ("2027-01-01", None, "UTC", "since"),
        ("2024-01-01", "2025-01-02", "UTC", "since"),
        ("2024-01-01T12:00:00Z", "2025-01-01T12:00:00Z", "UTC", "since"),
        ("1970-01-01", None, "UTC", "since"),
        ("0001-01-01", "2026-01-02", "UTC", "since"),
        (None, "9999-12-31T23:59:59Z", "UTC", "until"),
        ("2026-02-30", None, "UTC", "since"),
        ("2026-1-1", None, "UTC", "since"),
        ("yesterday", None, "UTC", "since"),
        ("2026-01-01T00:00:00", None, "UTC", "since"),
        (None, "", "UTC", "until"),
        (None, None, "Europe/Nowhere", "tz"),
        (None, None, "", "tz"),
        (None, None, "Europe", "tz"),
        (None, None, "+01:00", "tz"),
        (None, None, "EST5EDT4,M3", "tz"),
        (None, None, "../../etc/passwd", "tz"),
        (None, None, "/etc/localtime", "tz"),
        (None, None, "right/Europe/Berlin", "tz"),
        (None, None, "Europe/\0", "tz"),
        (None, None, "x" * 5000, "tz"),
    ],
)
def test_what_makes_no_range_is_refused(
    since: str | None, until: str | None, zone: str, parameter: str
) -> None:
    with pytest.raises(BadRange) as refused:
        of(since, until, zone)
    assert refused.value.parameter == parameter


def test_a_leap_year_is_a_range() -> None:
    assert len(of("2024-01-01", "2025-01-01").names) == 366
    assert len(of("2024-01-01", "2025-01-01", "Europe/Berlin").names) == 366
