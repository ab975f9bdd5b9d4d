"""Many sessions, and one very long one: projected, replayed and read like any other."""

import json

import psycopg
import pytest
from load import projector
from settling import judge, wait_until_projected

from turnlog_cli.embedded import EmbeddedServers
from turnlog_cli.instance import ServerUrls
from turnlog_producers import TurnLog
from turnlog_projector.replay import replay

pytestmark = [pytest.mark.fault, pytest.mark.integration]


def fill(urls: ServerUrls, sessions: int, turns: int) -> None:
    """Append so many turns to each of so many sessions, up to 1,000 a call."""
    with TurnLog.connect(urls.redis_url or "", timeout_s=30.0) as log:
        for number in range(sessions):
            chat = log.session(f"s-{number}", user_id=f"u-{number % 100}")
            for first in range(0, turns, 1000):
                chat.append_batch(
                    [
                        chat.build.append_turn("user", f"turn {turn} of session {number}")
                        for turn in range(first, min(first + 1000, turns))
                    ]
                )


@pytest.mark.parametrize(("sessions", "turns"), [(10_000, 2), (1, 100_000)])
def test_projected_and_replayed(servers: EmbeddedServers, sessions: int, turns: int) -> None:
    urls = servers.urls
    fill(urls, sessions, turns)
    with projector(urls):
        wait_until_projected(urls, timeout_s=120)
        report = replay(urls.postgres_url or "", tell=lambda _: None)
        assert (report.sessions, report.parked) == (sessions, 0)
        with TurnLog.connect(urls.redis_url or "") as log:
            last = log.session("s-0").append_turn("user", "after the replay")
        assert last.seq == turns + 2
        wait_until_projected(urls)
        judge(urls, [])


def test_what_people_write_comes_through(servers: EmbeddedServers) -> None:
    texts = [
        "a\0b",
        "👩‍👩‍👧‍👦 🏳️‍🌈",
        "\u05e9\u05dc\u05d5\u05dd \u202e\u0645\u0631\u062d\u0628\u0627",
        "漢字かなカナ한글ไทย",
        "x" * 900_000,
    ]
    urls = servers.urls
    with TurnLog.connect(urls.redis_url or "") as log, projector(urls):
        chat = log.session("s")
        for text in texts:
            chat.append_turn("user", text)
        wait_until_projected(urls)
    judge(urls, [])
    with psycopg.connect(urls.postgres_url or "") as connection:
        rows = connection.execute("SELECT body FROM g1.turns ORDER BY seq").fetchall()
    assert [json.loads(row[0])["content"] for row in rows] == texts
