"""turnlog verify, replay, rollback and generations, as people type them."""

import signal
from collections.abc import Callable

import psycopg
import pytest
from cli_running import Turnlog
from servers import wait_until

from turnlog_producers import TurnLog


@pytest.fixture
def filled(turnlog: Turnlog, project: Callable[[], None]) -> Turnlog:
    """Two sessions of two tenants, projected."""
    with TurnLog.connect(turnlog.redis_url) as log:
        chat = log.session("s-1", user_id="u-1")
        for number in range(4):
            chat.append_turn("user", f"secret number {number}")
        log.session("s-1", tenant="acme").append_turn("user", "Elsewhere")
    project()
    return turnlog


def spoil(turnlog: Turnlog, generation: int = 1) -> None:
    """Change a turn by hand."""
    with psycopg.connect(turnlog.postgres_url) as connection:
        connection.execute(
            f"UPDATE g{generation}.turns SET body = replace(body, 'secret', 'public')"  # pyright: ignore
            " WHERE session_id = 's-1' AND seq = 3"
        )


def states(turnlog: Turnlog) -> list[tuple[int, str, str | None]]:
    items = turnlog("generations", "--json").json["items"]
    return [(item["generation"], item["state"], item["name"]) for item in items]


def test_verify_finds_what_was_changed_and_tells_no_text(filled: Turnlog) -> None:
    sound = filled("verify")
    assert sound.code == 0, sound.err
    assert "it is what the log says" in sound.out
    spoil(filled)
    found = filled("verify", "--all")
    assert found.code == 1
    assert "default:s-1 seq 3 turns" in found.out
    assert "body.content: expected " in found.out
    assert "secret" not in found.out + found.err
    assert "public" not in found.out + found.err
    assert "public number 1" in filled("verify", "--values").out
    assert filled("verify", "--session", "s-1").code == 1
    assert filled("verify", "--session", "s-1", "--tenant", "acme").code == 0
    assert filled("verify", "--sample", 10, "--archive-only").code == 1


def test_verify_as_json(filled: Turnlog) -> None:
    ran = filled("verify", "--json")
    assert (ran.code, ran.json["differences"]) == (0, [])
    [sound] = ran.json["generations"]
    assert (sound["generation"], sound["sessions"], sound["events"]) == (1, 2, 6)
    assert filled("replay").code == 0
    spoil(filled)
    both = filled("verify", "--json", "--generation", 1, "--generation", 2)
    assert both.code == 1
    former, live = both.json["generations"]
    assert (former["digest"], former["expected"]) != (sound["digest"], sound["digest"])
    assert (live["digest"], former["expected"]) == (sound["digest"], sound["digest"])
    [difference] = both.json["differences"]
    assert (difference["table"], difference["seq"]) == ("turns", 3)
    assert difference["expected"].startswith("15 characters #")


def test_verify_without_a_redis_and_of_what_does_not_exist(filled: Turnlog) -> None:
    down = {"TURNLOG_REDIS_URL": "redis://127.0.0.1:1"}
    ran = filled("verify", **down)
    assert ran.code == 1
    assert "Redis" in ran.err
    assert filled("verify", "--archive-only", **down).code == 0
    unknown = filled("verify", "--generation", "nope")
    assert (unknown.code, unknown.err.count("\n")) == (1, 1)
    assert "there is no generation nope" in unknown.err
    assert filled("verify", "--all", "--sample", 3).code == 2


def test_a_dry_run_changes_nothing(filled: Turnlog) -> None:
    assert filled("replay", "--dry-run").code == 0
    spoil(filled)
    ran = filled("replay", "--dry-run", "--json")
    assert ran.code == 1
    assert len(ran.json["differences"]) == 1
    assert states(filled) == [(1, "live", None)]
    assert filled("verify").code == 1


def test_one_session_is_replayed_in_place(filled: Turnlog) -> None:
    spoil(filled)
    ran = filled("replay", "--session", "s-1")
    assert ran.code == 0, ran.err
    assert "1 differences were put right" in ran.out
    assert "secret" not in ran.out
    assert filled("verify").code == 0
    assert filled("replay", "--session", "s-1", "--json").json["wrong"] == []
    assert states(filled) == [(1, "live", None)]
    assert filled("replay", "--session", "nope").code == 1


def test_a_session_as_it_was_is_looked_at_and_dropped(filled: Turnlog) -> None:
    ran = filled("replay", "--session", "s-1", "--until", 3, "--name", "early", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["generation"], ran.json["events"]) == (2, 3)
    shown = filled("show", "s-1", "--generation", "early", "--json").json
    assert [turn["content"] for turn in shown["turns"]] == ["secret number 0", "secret number 1"]
    assert (
        filled("show", "s-1", "--generation", 2).out
        == filled("show", "s-1", "--generation", "early").out
    )
    assert len(filled("show", "s-1", "--json").json["turns"]) == 4
    assert filled("verify", "--generation", "early").code == 0
    assert states(filled) == [(1, "live", None), (2, "until", "early")]
    assert "early" in filled("generations").out
    assert filled("generations", "--drop", "early").code == 0
    assert states(filled) == [(1, "live", None)]


def test_every_session_as_it_was_at_a_time(filled: Turnlog) -> None:
    at = filled("show", "s-1", "--json").json["turns"][1]["recorded_at"]
    ran = filled("replay", "--until", at)
    assert ran.code == 0, ran.err
    assert f"until {at[:23]}" in ran.out
    turns = filled("show", "s-1", "--generation", 2, "--json").json["turns"]
    assert all(turn["recorded_at"] <= at for turn in turns)
    assert len(turns) >= 2


@pytest.mark.parametrize(
    "options",
    [
        ["--until", "3"],
        ["--until", "yesterday"],
        ["--name", "x"],
        ["--dry-run", "--until", "2026-01-01T00:00:00Z"],
    ],
)
def test_options_that_do_not_go_together(alone: Turnlog, options: list[str]) -> None:
    ran = alone("replay", *options, TURNLOG_POSTGRES_URL="postgresql://127.0.0.1:1/x")
    assert ran.code == 2, ran.err


@pytest.fixture
def alone() -> Turnlog:
    """The command, without servers."""
    return Turnlog("", "")


def test_rollback_and_back(filled: Turnlog) -> None:
    assert "nothing to go back to" in filled("rollback").err
    assert filled("replay").code == 0
    with TurnLog.connect(filled.redis_url) as log:
        log.session("s-1").append_turn("user", "since")
    wait_until(
        lambda: len(filled("show", "s-1", "--json").json["turns"]) == 5, "the turn is projected"
    )
    ran = filled("rollback", "--verify", "all", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["generation"], ran.json["former"], ran.json["caught_up"]) == (1, 2, 1)
    assert len(filled("show", "s-1", "--json").json["turns"]) == 5
    assert states(filled) == [(1, "live", None), (2, "kept", None)]
    assert filled("rollback", "--generation", 2).code == 0
    assert filled("verify").code == 0


def test_sigterm_leaves_nothing(filled: Turnlog) -> None:
    with psycopg.connect(filled.postgres_url) as held:
        held.execute("SELECT FROM turnlog.offsets FOR UPDATE")
        process = filled.start("replay")
        wait_until(lambda: len(states(filled)) == 2, "the replay has begun")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert states(filled) == [(1, "live", None)]
