"""`turnlog search` over a log that is projected and indexed."""

import pytest
from appending import Writer, event, turn
from cli_running import PARTITIONS, Turnlog, projecting
from redis import Redis
from servers import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def searched(redis_url: str, postgres_url: str) -> Turnlog:
    """A log with two sessions that can be searched."""
    turnlog = Turnlog(redis_url, postgres_url)
    assert turnlog("init", "--partitions", PARTITIONS).code == 0
    with Redis.from_url(redis_url) as client:
        writer = Writer(client, partitions=PARTITIONS)
        started = event("session.started", {"user_id": "ann", "project": "pies", "title": "Baking"})
        writer.append(
            "s1",
            started,
            turn("t1", "How to bake an apple pie?"),
            turn("t2", "[bold]Slice[/bold] the apples \x1b[31m first.", role="assistant"),
            turn("t3", "apples: 7", role="tool"),
            owner="ann",
        )
        old = event(
            "turn.appended",
            {"turn_id": "t4", "role": "user", "content": "apple"},
            at="2020-01-01T00:00:00Z",
        )
        writer.append("s2", old)
    with projecting(turnlog):
        wait_until(
            lambda: len(turnlog("search", "apple", "--json").json["items"]) == 3,
            "search has everything",
        )
    return turnlog


def ids(turnlog: Turnlog, *arguments: object) -> list[str]:
    """The turns that a search finds, in order."""
    ran = turnlog("search", *arguments, "--json")
    items = ran.json["items"]
    assert ran.code == (0 if items else 1)
    return [item["turn_id"] or item["session_id"] for item in items]


def test_it_finds_turns(searched: Turnlog) -> None:
    assert ids(searched, "apple", "--newest")[-1] == "t4"
    assert ids(searched, '"apple pie"') == ["t1"]
    assert sorted(ids(searched, "apple", "--tool-results")) == ["t1", "t2", "t3", "t4"]
    assert ids(searched, "apple", "--role", "tool") == ["t3"]
    assert ids(searched, "apple", "--user", "ann", "--role", "user") == ["t1"]
    assert ids(searched, "apple", "--project", "pies", "--role", "assistant") == ["t2"]
    assert ids(searched, "apple", "--session", "s2") == ["t4"]
    assert ids(searched, "apple", "--until", "2021-01-01T00:00:00Z") == ["t4"]
    assert ids(searched, "baking") == ["s1"]
    assert ids(searched, "apple", "--tenant", "other") == []
    assert len(ids(searched, "apple", "--limit", 1)) == 1


def test_it_prints_for_people(searched: Turnlog) -> None:
    ran = searched("search", "slice apple")
    assert ran.code == 0
    assert "s1 · t2 · assistant" in ran.out
    assert "[bold]Slice[/bold] the apples \u241b[31m first." in ran.out
    ran = searched("search", "apple", "--limit", 1)
    assert "--limit shows more" in ran.out
    ran = searched("search", "nowhere")
    assert (ran.code, ran.out.strip()) == (1, "nothing found")


@pytest.mark.parametrize(
    "arguments", [("x", "--role", "boss"), ("x", "--since", "yesterday"), (), ("x", "--limit", 0)]
)
def test_what_cannot_be_asked_is_said(searched: Turnlog, arguments: tuple[object, ...]) -> None:
    assert searched("search", *arguments).code == 2
