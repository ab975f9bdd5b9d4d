"""A time that Python cannot read is refused where it can be, and folds where it cannot: a leap
second, small letters."""

import json

import pytest

from turnlog_producers.core import build
from turnlog_schemas import times
from turnlog_schemas.codec import decode
from turnlog_schemas.errors import InvalidEvent

TURN = {"turn_id": "t0", "role": "user", "content": "Hi"}


def logged(at: str) -> bytes:
    """An event as a producer in another language may have written it."""
    event = {"event_id": "e0", "type": "turn.appended", "version": 1, "at": at, "data": TURN}
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    ("at", "read"),
    [
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z"),
        ("2016-12-31t23:59:60.5z", "2016-12-31T23:59:59.999999Z"),
        ("2016-12-31t23:59:59z", "2016-12-31T23:59:59.000000Z"),
        ("2017-01-01T00:59:60.123456+01:00", "2016-12-31T23:59:59.999999Z"),
    ],
)
def test_what_rfc_3339_allows_folds(at: str, read: str) -> None:
    event = decode(
        logged(at), tenant="default", session_id="s", seq=1, recorded_at=times.to_ms(read)
    )
    assert event.at == read


@pytest.mark.parametrize("at", ["2016-12-31T23:59:61Z", "2016-12-31T23:60:60Z", ":60Z", "23:59:60"])
def test_what_no_clock_shows_is_no_time(at: str) -> None:
    with pytest.raises(InvalidEvent, match="at: "):
        decode(logged(at), tenant="default", session_id="s", seq=1, recorded_at=0)


def test_producers_do_not_write_one() -> None:
    with pytest.raises(InvalidEvent, match="at: given '2016-12-31T23:59:60Z'"):
        build("turn.appended", TURN, at="2016-12-31T23:59:60Z")
