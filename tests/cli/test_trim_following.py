"""Following a log that is being trimmed: an event that left Redis comes from the archive."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import islice

import pytest
import redis
from appending import Writer, turn
from cli_running import PARTITIONS, Turnlog, projecting

from turnlog_cli import follow
from turnlog_cli.follow import Followed, Follower

pytestmark = pytest.mark.integration


@pytest.fixture
def followers() -> Iterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def writer(turnlog: Turnlog) -> Iterator[Writer]:
    """Appends to the log of the command."""
    with redis.Redis.from_url(turnlog.redis_url) as client:
        yield Writer(client, partitions=PARTITIONS)


def trim(turnlog: Turnlog) -> None:
    """All that is archived leaves Redis."""
    assert turnlog("trim", "--older-than", "0", "--keep", "0").code == 0


def seqs(found: Iterator[Followed], count: int) -> list[int]:
    """The seqs of the next events."""
    return [each.event.seq for each in islice(found, count)]


def begin(turnlog: Turnlog, writer: Writer) -> None:
    """A cold session of three turns."""
    writer.append("s", turn("t0"), turn("t1"), turn("t2"))
    with projecting(turnlog):
        pass
    trim(turnlog)


def test_a_cold_session_that_goes_on(
    turnlog: Turnlog, writer: Writer, followers: ExitStack
) -> None:
    begin(turnlog, writer)
    follower = followers.enter_context(closing(Follower(turnlog.redis_url, tell=print)))
    writer.append("s", turn("t3"), turn("t4"))
    assert seqs(follower.events(None, None), 2) == [4, 5]


def test_events_that_left_redis_come_from_the_archive(
    turnlog: Turnlog, writer: Writer, followers: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_ARCHIVED_AT_ONCE", 2)
    follower = followers.enter_context(
        closing(Follower(turnlog.redis_url, tell=print, postgres_url=turnlog.postgres_url))
    )
    writer.append("s", *[turn(f"t{number}") for number in range(5)])
    with projecting(turnlog):
        pass
    trim(turnlog)
    writer.append("s", turn("t5"))
    assert turnlog.count() == 6
    assert seqs(follower.events(None, None), 6) == [1, 2, 3, 4, 5, 6]


def test_without_an_archive_it_says_what_is_missing(
    turnlog: Turnlog, writer: Writer, followers: ExitStack
) -> None:
    told: list[str] = []
    follower = followers.enter_context(closing(Follower(turnlog.redis_url, tell=told.append)))
    begin(turnlog, writer)
    writer.append("s", turn("t3"))
    assert seqs(follower.events("default", "s"), 1) == [4]
    assert told == [
        "events 1 to 3 of session default:s were trimmed before they could be followed: "
        "with --postgres-url they come from the archive"
    ]


def test_index_entries_that_are_gone_are_told(
    turnlog: Turnlog, writer: Writer, followers: ExitStack
) -> None:
    told: list[str] = []
    follower = followers.enter_context(
        closing(Follower(turnlog.redis_url, tell=told.append, postgres_url=turnlog.postgres_url))
    )
    writer.append("s", turn("t0"))
    begin(turnlog, writer)
    writer.append("s", turn("t3"))
    assert seqs(follower.events(None, None), 4) == [2, 3, 4, 5]
    assert told[0].startswith("1 changes of partition ")
