"""Replay of one session, up to a point, and what an interrupted replay leaves."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from unittest.mock import patch

import pytest
from appending import event, poison, turn
from rig import Rig, patched
from servers import wait_until
from truth import fold_archive, read_archive, read_tables
from verifying import run_verify

from turnlog_projector import rebuild as rebuild_module
from turnlog_projector.copying import ArchiveDamaged
from turnlog_projector.errors import MassParking
from turnlog_projector.generations import drop_generation, find_generation
from turnlog_projector.parking import list_parked
from turnlog_projector.replay import replay
from turnlog_projector.replay_session import replay_session
from turnlog_projector.replay_until import CannotLook, Point, UntilReport, replay_until
from turnlog_projector.replaying import ReplayUnderWay, replay_connection
from turnlog_projector.verify_differences import Difference
from turnlog_schemas import fold as fold_module
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.rows import Changes, Rows, Session

pytestmark = pytest.mark.integration


def fill(rig: Rig) -> None:
    for number in range(4):
        rig.writer.append(
            f"s{number}",
            event("session.started", {"user_id": "u", "title": "T"}),
            *[turn(f"t{n}", f"turn {n}") for n in range(6)],
            event("turn.edited", {"turn_id": "t2", "content": "edited"}),
            event("turn.retracted", {"turn_id": "t3"}),
        )
    rig.drain(rig.projection())


def until(
    rig: Rig, point: Point, session: str | None = None, name: str | None = None
) -> UntilReport:
    key = rig.key(session) if session is not None else None
    return replay_until(rig.postgres_url, point, tell=lambda _: None, key=key, name=name)


def states(rig: Rig) -> list[tuple[int, str]]:
    rows = rig.connection.execute("SELECT generation, state FROM turnlog.generations ORDER BY 1")
    return [(row[0], row[1]) for row in rows]


# One session


def test_one_session_is_put_right_and_the_others_are_left_alone(rig: Rig) -> None:
    fill(rig)
    projection = rig.projection()
    projection.load([rig.key("s1")])  # a worker that has the session at hand
    sound = read_tables(rig.connection, 1)
    rig.connection.execute("UPDATE g1.turns SET body = '{}' WHERE session_id IN ('s1', 's2')")
    rig.connection.execute("DELETE FROM g1.sessions WHERE session_id = 's1'")
    found: list[Difference] = []
    report = replay_session(rig.postgres_url, "default", "s1", report=found.append)
    assert report.differences == len(found) > 0
    assert not report.parked
    left = {each.session_id for each in run_verify(rig)[1]}
    assert left == {"s2"}
    rig.writer.append("s1", turn("t9"))
    rig.drain(projection)
    replay_session(rig.postgres_url, "default", "s2", report=found.append)
    rig.check()
    assert run_verify(rig)[1] == []
    assert sound["titles"] == read_tables(rig.connection, 1)["titles"]


def test_a_session_that_stays_parked_says_so(rig: Rig) -> None:
    rig.writer.append("s", turn("t0"), poison(), turn("t1"))
    rig.drain(rig.projection())
    report = replay_session(rig.postgres_url, "default", "s", report=lambda _: None)
    assert (report.differences, report.parked) == (0, True)
    assert [(p.session_id, p.seq) for p in list_parked(rig.connection)] == [("s", 2)]
    rig.check()


def test_a_session_that_does_not_exist(rig: Rig) -> None:
    with pytest.raises(CannotLook, match="default:nope"):
        replay_session(rig.postgres_url, "default", "nope", report=lambda _: None)


# Up to a point


def test_up_to_a_seq_one_session_is_as_it_was(rig: Rig) -> None:
    fill(rig)
    for seq in (1, 5, 9):
        made = until(rig, Point(seq=seq), "s1")
        assert (made.events, made.sessions, made.name) == (seq, 1, f"s1 until seq {seq}")
        archive = [row for row in read_archive(rig.connection) if row.session_id == "s1"]
        expected, _ = fold_archive(row for row in archive if row.seq <= seq)
        assert read_tables(rig.connection, made.generation) == expected
        report, found = run_verify(rig, generation=made.name)
        assert (found, report.digest, report.state) == ([], made.digest, "until")
        assert find_generation(rig.connection, None).generation == 1


def test_up_to_a_time_every_session_is_as_it_was(rig: Rig) -> None:
    fill(rig)
    rig.writer.append("s0", turn("early"))
    rig.drain(rig.projection())
    last = max(row.recorded_at for row in read_archive(rig.connection))
    wait_until(lambda: int(time.time() * 1000) > last + 1, "the clock goes on")
    rig.writer.append("s0", turn("late"))
    rig.writer.append("new", turn("late"))
    rig.drain(rig.projection())
    expected, _ = fold_archive(r for r in read_archive(rig.connection) if r.recorded_at <= last)
    for large in (5000, 3):
        with patched(rebuild_module, "LARGE_SESSION_EVENTS", large):
            made = until(rig, Point(recorded_at=last), name=f"before, {large}")
        assert read_tables(rig.connection, made.generation) == expected
        report, found = run_verify(rig, generation=f"before, {large}")
        assert (found, report.digest) == ([], made.digest)
    assert states(rig) == [(1, "live"), (2, "until"), (3, "until")]
    rig.writer.append("s0", turn("later-still"))
    rig.drain(rig.projection())
    assert run_verify(rig, generation=2)[1] == []
    rig.connection.execute("DELETE FROM g2.turns WHERE session_id = 's2' AND seq = 2")
    assert [each.session_id for each in run_verify(rig, generation=2)[1]] == ["s2"]
    drop_generation(rig.connection, 2)
    rig.check()


def test_an_erasure_reaches_what_was_made_to_look_at(rig: Rig) -> None:
    fill(rig)
    whole, one = (
        until(rig, Point(recorded_at=int(time.time() * 1000))),
        until(rig, Point(seq=5), "s1"),
    )
    projection = rig.projection()
    rig.writer.append("s1", event("turn.erased", {"turn_id": "t1"}))
    rig.drain(projection)
    for made in (whole, one):
        assert run_verify(rig, generation=made.generation, stream=False)[1] == []
        rows = read_tables(rig.connection, made.generation)["turns"]
        assert not any("turn 1" in str(row) for row in rows if row[1] == "s1")
        assert any("turn 1" in str(row) for row in rows if row[1] == "s2") == (made is whole)


@pytest.mark.parametrize(
    ("point", "session", "name", "why"),
    [
        (Point(seq=10), "s1", None, "9 archived events"),
        (Point(seq=1), "nope", None, "0 archived events"),
        (Point(recorded_at=10**14), None, None, "future"),
        (Point(seq=1), "s1", "7", "number"),
        (Point(seq=1), "s1", "taken", "already"),
    ],
)
def test_what_cannot_be_looked_at(
    rig: Rig, point: Point, session: str | None, name: str | None, why: str
) -> None:
    fill(rig)
    until(rig, Point(seq=1), "s1", "taken")
    with pytest.raises(CannotLook, match=why):
        until(rig, point, session, name)
    assert states(rig) == [(1, "live"), (2, "until")]


# Broken off


def test_a_changed_archive_is_not_replayed(rig: Rig) -> None:
    fill(rig)
    rig.connection.execute(
        "UPDATE turnlog.archive SET bytes = bytes || ' ' WHERE session_id = 's1' AND seq = 3"
    )
    with pytest.raises(ArchiveDamaged, match="event 3 of session default:s1"):
        replay(rig.postgres_url, tell=lambda _: None)
    assert states(rig) == [(1, "live")]


def test_a_faulty_release_does_not_park_the_world_by_a_replay(rig: Rig) -> None:
    fill(rig)
    rig.writer.append("poisoned", turn("t0"), poison())
    rig.drain(rig.projection())

    def broken(session: Session, rows: Rows, given: RecordedEvent) -> Changes:
        raise KeyError("a fault of ours")

    handlers = fold_module._HANDLERS  # pyright: ignore[reportPrivateUsage]
    with patch.dict(handlers, {"turn.edited": broken}):
        with pytest.raises(MassParking, match="4 of 5 sessions"):
            replay(rig.postgres_url, tell=lambda _: None, park_limit=3, park_percent=50)
        assert states(rig) == [(1, "live")]
        replay(rig.postgres_url, tell=lambda _: None, park_limit=0)
        assert len(list_parked(rig.connection)) == 5
    replay(rig.postgres_url, tell=lambda _: None)
    assert [(p.session_id, p.seq) for p in list_parked(rig.connection)] == [("poisoned", 2)]
    rig.check()


_REPLAYING = """
import sys, time
from turnlog_projector import crew
from turnlog_projector.replay import replay

def tell(progress):
    print(progress.phase, flush=True)
    if progress.phase == "indexes":
        time.sleep(60)

if __name__ == "__main__":
    crew.SMALL_LOG_EVENTS = 0
    replay(sys.argv[1], tell=tell, processes=2)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_a_replay_that_is_broken_off_leaves_nothing_for_long(rig: Rig, number: int) -> None:
    fill(rig)
    with subprocess.Popen(
        [sys.executable, "-c", _REPLAYING, rig.postgres_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != b"indexes":
            continue
        os.kill(process.pid, number)
    connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'turnlog replay'"
    wait_until(
        lambda: rig.connection.execute(connected).fetchone() == (0,), "all its processes are gone"
    )
    if number == signal.SIGINT:
        assert states(rig) == [(1, "live")]
    replay(rig.postgres_url, tell=lambda _: None)
    assert [state for _, state in states(rig)] == ["kept", "live"]
    rig.check()


_IN_A_STATEMENT = """
import sys
from turnlog_projector.replaying import replay_connection

with replay_connection(sys.argv[1]) as connection:
    connection.execute("SELECT pg_sleep(3600)")
"""


def test_a_replay_killed_within_a_long_statement_is_not_under_way_for_as_long(rig: Rig) -> None:
    """Such as one that makes an index: Postgres would go on with it, and keep the lock."""
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3600)'"
    with subprocess.Popen([sys.executable, "-c", _IN_A_STATEMENT, rig.postgres_url]) as process:
        wait_until(
            lambda: rig.connection.execute(sleeping).fetchone() == (1,), "the statement runs"
        )
        process.kill()

    def free() -> bool:
        with suppress(ReplayUnderWay), replay_connection(rig.postgres_url):
            return True
        return False

    wait_until(free, "nobody holds the lock")
