"""`turnlog show` of what was: --as-of, --revisions, --events."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from cli_running import Turnlog, projected
from servers import wait_until

from turnlog_producers import TurnLog

ANN = {"kind": "agent", "id": "ann"}


@pytest.fixture
def filled(turnlog: Turnlog, project: Callable[[], None]) -> Turnlog:
    """A session of which everything was changed, projected."""
    with TurnLog.connect(turnlog.redis_url) as log:
        chat = log.session("s-1", user_id="u-1")
        chat.append_turn("user", "How is \x1b[31mrevenue?", turn_id="a")
        chat.append_turn("assistant", "Fine", turn_id="b")
        chat.edit_turn("a", "How are costs?", actor=ANN)
        chat.rename("Money")
        chat.retract_turn("b", reason="wrong")
    project()
    return turnlog


def test_a_conversation_is_shown_as_it_was(filled: Turnlog) -> None:
    found = filled("show", "s-1", "--as-of", 3, "--json").json
    assert found["as_of"] == 3
    assert [turn["content"] for turn in found["turns"]] == ["How is \x1b[31mrevenue?", "Fine"]
    assert (found["session"]["seq"], found["total_count"]) == (3, 2)
    assert len(filled("show", "s-1", "--as-of", 5, "--limit", 1, "--json").json["turns"]) == 1
    now = filled("show", "s-1", "--json").json
    assert filled("show", "s-1", "--as-of", 6, "--json").json == {"as_of": 6, **now}
    ran = filled("show", "s-1", "--as-of", "3")
    assert "as it was after event 3" in ran.out
    assert "How is \u241b[31mrevenue?" in ran.out
    assert "\x1b" not in ran.out


def test_a_time_is_that_of_the_log(filled: Turnlog) -> None:
    items = lines(filled("show", "s-1", "--events", "--json").out)
    for number, item in enumerate(items, 1):
        same = [each for each in items if each["recorded_at"] <= item["recorded_at"]]
        found = filled("show", "s-1", "--as-of", item["recorded_at"], "--json").json
        assert found["as_of"] == len(same) >= number
    before = filled("show", "s-1", "--as-of", "2020-01-01T00:00:00Z")
    assert before.code == 1
    assert before.err == "turnlog: session s-1 has no event that was recorded by then\n"


@pytest.mark.parametrize("as_of", ["0", "7", "9007199254740991"])
def test_an_event_that_is_none_is_one_line(filled: Turnlog, as_of: str) -> None:
    ran = filled("show", "s-1", "--as-of", as_of)
    assert ran.code == 1
    assert ran.err == (f"turnlog: session s-1 has the events 1 to 6 in the archive, not {as_of}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--as-of", "yesterday"),
        ("--as-of", "2026-01-31T12:00:00"),
        ("--as-of", "3", "--generation", "1"),
        ("--events", "--generation", "1"),
        ("--events", "--revisions"),
    ],
)
def test_a_wrong_use_is_told(filled: Turnlog, arguments: tuple[str, ...]) -> None:
    assert filled("show", "s-1", *arguments).code == 2


def test_revisions_tell_who_and_what_was_before(filled: Turnlog) -> None:
    found = filled("show", "s-1", "--revisions", "--json").json
    assert [(each["seq"], each["actor"]) for each in found["revisions"]] == [(4, ANN)]
    assert [each["title"] for each in found["titles"]][1:] == ["Money"]
    past = filled("show", "s-1", "--revisions", "--as-of", 3, "--json").json
    assert (past["revisions"], len(past["titles"])) == ([], 1)
    ran = filled("show", "s-1", "--revisions")
    assert "✎ 4 turn.edited (ann, " in ran.out
    assert "content: How is \u241b[31mrevenue? → How are costs?" in ran.out
    assert "title 5: Money (user, " in ran.out


def test_events_are_those_of_the_log(filled: Turnlog) -> None:
    items = lines(filled("show", "s-1", "--events", "--json").out)
    stored = filled.events("s-1")
    assert [{**item, "seq": 0, "recorded_at": ""} for item in items] == [
        {**each, "seq": 0, "recorded_at": ""} for each in stored
    ]
    assert [item["seq"] for item in items] == [1, 2, 3, 4, 5, 6]
    newest = lines(filled("show", "s-1", "--events", "--limit", 2, "--as-of", 5, "--json").out)
    assert [item["seq"] for item in newest] == [4, 5]
    ran = filled("show", "s-1", "--events", "--limit", 0)
    assert len(ran.out.splitlines()) == 6
    assert "turn.retracted" in ran.out.splitlines()[5]
    assert "\x1b" not in ran.out
    unknown = filled("show", "nope", "--events")
    assert (unknown.code, unknown.err.count("\n")) == (1, 1)


def test_of_a_parked_session_the_log_and_what_was_before_are_shown(filled: Turnlog) -> None:
    with redis.Redis.from_url(filled.redis_url) as client, TurnLog.connect(filled.redis_url) as log:
        from appending import Writer, poison

        Writer(client, partitions=4).append("s-1", poison())
        log.session("s-1").append_turn("user", "More")
    wait_until(lambda: projected(filled), "everything is projected")
    items = lines(filled("show", "s-1", "--events", "--json").out)
    assert (len(items), items[6]["base64"]) == (8, "eyJubyBqc29u")
    assert filled("show", "s-1", "--as-of", 6).code == 0
    ran = filled("show", "s-1", "--as-of", 8)
    assert ran.code == 1
    assert ran.err.startswith("turnlog: event 7 of session s-1 cannot be folded")


def lines(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]
