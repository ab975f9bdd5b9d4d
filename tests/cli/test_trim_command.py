"""`turnlog trim`."""

from collections.abc import Callable

import psycopg
import pytest
import redis
from appending import Writer, turn
from cli_running import PARTITIONS, Turnlog

pytestmark = pytest.mark.integration


@pytest.fixture
def filled(turnlog: Turnlog, project: Callable[[], None]) -> Turnlog:
    """Two sessions of three turns of one tenant, one of another; all projected."""
    with redis.Redis.from_url(turnlog.redis_url) as client:
        for tenant, session_id in (("default", "a"), ("default", "b"), ("acme", "c")):
            writer = Writer(client, partitions=PARTITIONS, tenant=tenant)
            writer.append(session_id, turn("t0"), turn("t1"), turn("t2"))
    project()
    return turnlog


def test_everything(filled: Turnlog) -> None:
    assert filled("trim", "--json").json["events"] == 0
    planned = filled("trim", "--older-than", "0", "--keep", "0", "--dry-run", "--json")
    assert planned.code == 0
    assert planned.json["dry_run"] is True
    assert len(filled.events("a")) == 3
    done = filled("trim", "--older-than", "0", "--keep", "0", "--json")
    assert (done.code, done.json["events"], done.json["cold"]) == (0, 9, 3)
    assert {k: v for k, v in planned.json.items() if k in ("events", "sessions", "cold")} == {
        "events": 9,
        "sessions": 3,
        "cold": 3,
    }
    assert done.json["bytes_after"] > 0
    assert filled.events("a") == []
    again = filled("trim", "--older-than", "0", "--keep", "0")
    assert "trimmed 0 events of 0 sessions" in again.out
    assert "Redis used" in again.out


def test_sessions_that_are_not_quiet_keep_some(filled: Turnlog) -> None:
    assert filled("trim", "--older-than", "0", "--json").json["events"] == 0
    assert filled("trim", "--older-than", "0", "--keep", "1", "--json").json["events"] == 6
    assert len(filled.events("a")) == 1


def test_one_session(filled: Turnlog) -> None:
    options = ("--older-than", "0", "--keep", "0", "--json")
    assert filled("trim", "--session", "a", *options).json["sessions"] == 1
    assert filled.events("a") == []
    assert len(filled.events("b")) == 3
    assert filled("trim", "--session", "unknown", *options).json["sessions"] == 0


def test_one_tenant(filled: Turnlog) -> None:
    options = ("--older-than", "0", "--keep", "0", "--json")
    assert filled("trim", "--tenant", "acme", *options).json["sessions"] == 1
    assert len(filled.events("a")) == 3
    assert filled.events("c", "acme") == []


def test_a_session_that_disagrees_is_named(filled: Turnlog) -> None:
    with psycopg.connect(filled.postgres_url) as connection:
        connection.execute("DELETE FROM turnlog.archive WHERE session_id = 'a' AND seq = 1")
    ran = filled("trim", "--older-than", "0", "--keep", "0")
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith("turnlog: 1 sessions were left alone")
    assert len(filled.events("a")) == 3


@pytest.mark.parametrize("given", ["a week", "-1d", "7", "7 weeks", ""])
def test_a_time_that_is_none(filled: Turnlog, given: str) -> None:
    assert filled("trim", "--older-than", given).code == 2
