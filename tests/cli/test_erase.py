"""`turnlog erase` and `turnlog retention`: what is asked for is gone everywhere when they end."""

import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import psycopg
import pytest
import redis
from appending import Writer, event, turn
from cli_running import PARTITIONS, Turnlog
from dumping import dump_postgres, dump_redis, holding

from turnlog_producers.keys import Keys
from turnlog_projector.database import connect_postgres

pytestmark = pytest.mark.integration
SECRET = "hunter2"


def left(turnlog: Turnlog, text: str = SECRET) -> list[str]:
    """Where a text still stands."""
    with (
        redis.Redis.from_url(turnlog.redis_url) as client,
        connect_postgres(turnlog.postgres_url) as connection,
    ):
        return holding(dump_postgres(connection), text) + holding(dump_redis(client), text)


def begin(turnlog: Turnlog, *session_ids: str, user: str = "u-1", text: str = SECRET) -> None:
    """Sessions of a user, each with three turns of which the second is t1."""
    with redis.Redis.from_url(turnlog.redis_url) as client:
        writer = Writer(client, partitions=PARTITIONS)
        for session_id in session_ids:
            started = event("session.started", {"user_id": user, "title": text})
            turns = [turn("t0", "kept"), turn("t1", text), turn("t2", "kept")]
            writer.append(session_id, started, *turns, owner=user)


def test_a_turn(turnlog: Turnlog, project: Callable[[], None]) -> None:
    with redis.Redis.from_url(turnlog.redis_url) as client:
        Writer(client, partitions=PARTITIONS).append("s", turn("t0", "kept"), turn("t1", SECRET))
    project()
    ran = turnlog("erase", "--turn", "s/t1", "--yes")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("erased: default:s/t1\n1 events are stubs")
    assert "beyond reach" in ran.out
    assert left(turnlog) == []
    assert left(turnlog, "kept")


def test_a_session(turnlog: Turnlog, project: Callable[[], None]) -> None:
    begin(turnlog, "s")
    project()
    ran = turnlog("erase", "--session", "s", "--yes", "--json")
    assert ran.code == 0, ran.err
    assert ran.json | {"files": [], "beyond_reach": ""} == {
        "erased": 1,
        "erased_before": 0,
        "failed": [],
        "events": 4,
        "clean": 1,
        "waiting": 0,
        "files": [],
        "beyond_reach": "",
    }
    assert left(turnlog) == []
    again = turnlog("erase", "--session", "s", "--yes")
    assert (again.code, again.out.splitlines()[1]) == (0, "1 were erased before")


def test_a_user_also_where_nothing_is_projected_yet(
    turnlog: Turnlog, project: Callable[[], None]
) -> None:
    begin(turnlog, *[f"s{number}" for number in range(7)])
    begin(turnlog, "other", user="u-2", text="other text")
    project()
    begin(turnlog, "late")
    ran = turnlog("erase", "--user", "u-1", "--yes", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["erased"], ran.json["clean"]) == (8, 8)
    assert left(turnlog) == []
    assert left(turnlog, "u-1") == []
    assert left(turnlog, "other text")
    nothing = turnlog("erase", "--user", "u-1", "--yes")
    assert nothing.out.startswith("erased: nothing\n")
    assert nothing.code == 0


def test_a_session_that_cannot_be_erased_is_named(
    turnlog: Turnlog, project: Callable[[], None]
) -> None:
    begin(turnlog, "s0", "s1")
    with redis.Redis.from_url(turnlog.redis_url) as client:
        client.delete(Keys("default", "s1", PARTITIONS).stream)
    ran = turnlog("erase", "--user", "u-1", "--yes", "--timeout", "0")
    assert ran.code == 1
    assert "not erased: default:s1: session s1: its stream should hold" in ran.err


def test_without_a_projector_it_says_so(turnlog: Turnlog) -> None:
    begin(turnlog, "s")
    with patch("turnlog_cli.erasing._PATIENCE_SECONDS", 0.1):
        ran = turnlog("erase", "--session", "s", "--yes")
    assert ran.code == 1
    assert "no projector is running" in ran.out
    assert turnlog.events("s")[-1]["type"] == "session.erased"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name one thing to erase"),
        (("--session", "s", "--user", "u"), "name one thing to erase"),
        (("--turn", "s", "--yes"), "SESSION/TURN"),
        (("--session", "s/t", "--yes"), "--turn SESSION/TURN"),
        (("--session", "s"), "say --yes"),
    ],
)
def test_used_wrongly(turnlog: Turnlog, arguments: tuple[str, ...], said: str) -> None:
    begin(turnlog, "s")
    ran = turnlog("erase", *arguments)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())
    assert turnlog.events("s")[-1]["type"] == "turn.appended"


def test_what_there_is_not(turnlog: Turnlog) -> None:
    ran = turnlog("erase", "--session", "nobody", "--yes")
    assert (ran.code, ran.err) == (1, "turnlog: there is no session nobody in tenant default\n")


def test_an_import_brings_nothing_back(
    turnlog: Turnlog, project: Callable[[], None], tmp_path: Path
) -> None:
    file = tmp_path / "chats.jsonl"
    messages = [{"role": "user", "content": text} for text in (SECRET, "kept")]
    with file.open("w") as out:
        for name in ("whole", "turn"):
            out.write(json.dumps({"id": name, "user": "u-1", "messages": messages}) + "\n")
    assert turnlog("import", file).code == 0
    project()
    [turn_id] = [
        event["data"]["turn_id"]
        for event in turnlog.events("turn")
        if SECRET in event["data"].get("content", "")
    ]
    assert turnlog("erase", "--session", "whole", "--yes").code == 0
    assert turnlog("erase", "--turn", f"turn/{turn_id}", "--yes").code == 0
    again = turnlog("import", file, "--json")
    assert again.code == 1
    assert "session whole is erased" in again.err + again.out
    assert (again.json["sessions"], again.json["turns"]) == (0, 0)
    assert left(turnlog) == []


# Retention


def age(turnlog: Turnlog, days: int, *session_ids: str) -> None:
    """The last events of sessions, as archived, are so old."""
    with psycopg.connect(turnlog.postgres_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE turnlog.heads SET recorded_at = recorded_at - %s * 86400000::bigint"
            " WHERE session_id = ANY (%s)",
            (days, list(session_ids)),
        )


def test_retention_erases_what_is_idle_for_too_long(
    turnlog: Turnlog, project: Callable[[], None]
) -> None:
    begin(turnlog, "old", "older")
    begin(turnlog, "new", text="new text")
    project()
    age(turnlog, 40, "old")
    age(turnlog, 400, "older")
    dry = turnlog("retention", "run", "--older-than", "30d", "--dry-run", "--json")
    assert dry.code == 0, dry.err
    assert dry.json["due"] == 2
    assert sorted(item["session_id"] for item in dry.json["items"]) == ["old", "older"]
    assert left(turnlog)
    ran = turnlog("retention", "run", "--yes", "--json", TURNLOG_RETENTION_DAYS="30")
    assert ran.code == 0, ran.err
    assert (ran.json["due"], ran.json["erased"], ran.json["clean"]) == (2, 2, 2)
    assert left(turnlog) == []
    assert left(turnlog, "new text")
    again = turnlog("retention", "run", "--older-than", "30d", "--dry-run")
    assert again.out == "would erase 0 sessions, idle for longer than 30 days\n"


def test_retention_of_one_tenant(turnlog: Turnlog, project: Callable[[], None]) -> None:
    begin(turnlog, "old")
    project()
    age(turnlog, 40, "old")
    dry = turnlog("retention", "run", "--older-than", "30d", "--tenant", "other", "--dry-run")
    assert dry.out.startswith("would erase 0 sessions")
    named = turnlog("retention", "run", "--older-than", "30d", "--dry-run")
    assert "  default:old, last event 40 d ago\n" in named.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--yes"), "TURNLOG_RETENTION_DAYS"),
        (("run", "--older-than", "soon"), "no length of time"),
        (("run", "--older-than", "30d"), "say --yes"),
        (("walk",), "'walk' is not one of 'run'"),
    ],
)
def test_retention_used_wrongly(turnlog: Turnlog, arguments: tuple[str, ...], said: str) -> None:
    ran = turnlog("retention", *arguments)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())
