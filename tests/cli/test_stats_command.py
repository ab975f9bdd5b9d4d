"""`turnlog stats` over a log that is projected."""

from datetime import UTC, datetime

import pytest
from appending import Writer, event, turn
from cli_running import PARTITIONS, Turnlog, projecting
from redis import Redis
from servers import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def counted(redis_url: str, postgres_url: str) -> Turnlog:
    """A session of today, and one of a night in 2026."""
    turnlog = Turnlog(redis_url, postgres_url)
    assert turnlog("init", "--partitions", PARTITIONS).code == 0
    usage = {"input_tokens": 1200, "output_tokens": 34}
    with Redis.from_url(redis_url) as client:
        writer = Writer(client, partitions=PARTITIONS)
        writer.append(
            "s1",
            event("session.started", {"user_id": "ann", "project": "pies"}),
            turn("t1"),
            turn("t2", role="assistant", model="[b]m\x1b", usage=usage, response_time_ms=812.4),
            event("turn.annotated", {"turn_id": "t2", "kind": "rating", "value": 1, "by": "ann"}),
            owner="ann",
        )
        old = {"turn_id": "t3", "role": "user", "content": "x"}
        writer.append("s2", event("turn.appended", old, at="2026-01-10T23:30:00Z"))
    with projecting(turnlog):
        wait_until(
            lambda: len(turnlog("sessions", "--json").json["items"]) == 2, "both are projected"
        )
    return turnlog


def test_it_tells_as_json(counted: Turnlog) -> None:
    found = counted("stats", "--json").json
    assert len(found["days"]) == 30
    assert found["total"]["turns"] == 2
    range_ = ("--since", "2026-01-10", "--until", "2026-01-12")
    for zone, turns in (("UTC", [1, 0]), ("Europe/Berlin", [0, 1])):
        found = counted("stats", *range_, "--tz", zone, "--json").json
        assert [day["turns"] for day in found["days"]] == turns
    for option, value, expected in (
        ("--user", "ann", 2),
        ("--user", "ben", 0),
        ("--project", "pies", 2),
        ("--session", "s2", 0),
        ("--tenant", "other", 0),
    ):
        assert counted("stats", option, value, "--json").json["total"]["turns"] == expected


def test_it_prints_for_people(counted: Turnlog) -> None:
    ran = counted("stats", "--since", datetime.now(UTC).date().isoformat())
    assert ran.code == 0
    lines = [line.split() for line in ran.out.splitlines()]
    assert " ".join(lines[0]) == "turns sessions users in out p50 ms p95 ms p99 ms rated"
    figures = ["2", "1", "1", "1,200", "34", "812", "812", "812", "1", "avg", "1.00"]
    assert ["all", *figures] in lines
    assert "roles   assistant 1, user 1" in ran.out
    assert "[b]m\u241b   turns 1, input_tokens 1,200, output_tokens 34" in ran.out


@pytest.mark.parametrize(
    "arguments",
    [("--tz", "Mars"), ("--since", "soon"), ("--since", "2020-01-01"), ("--until", "1960-01-01")],
)
def test_what_cannot_be_asked_is_said(counted: Turnlog, arguments: tuple[str, ...]) -> None:
    ran = counted("stats", *arguments)
    assert ran.code == 2
    assert f"{arguments[0]} " in ran.err
