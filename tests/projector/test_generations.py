"""A replay goes on beside everything else, and whatever the moment of its flip, nothing is lost."""

import threading
from collections.abc import Callable
from typing import LiteralString, cast

import pytest
from appending import turn
from rig import Rig, patched
from servers import wait_until
from truth import read_tables

from turnlog_projector import projection as projection_module
from turnlog_projector import rebuild as rebuild_module
from turnlog_projector.batch import Batch, LostPartition
from turnlog_projector.following import Progress
from turnlog_projector.generations import NoSuchGeneration, drop_generation
from turnlog_projector.projection import Projection
from turnlog_projector.proving import NotProven
from turnlog_projector.replay import replay
from turnlog_projector.replaying import ReplayUnderWay

pytestmark = pytest.mark.integration


def quiet(progress: Progress) -> None:
    """Tells nobody."""


def flip(rig: Rig) -> None:
    """A whole replay."""
    replay(rig.postgres_url, tell=quiet, processes=1)


def before_commit(projection: Projection, what: Callable[[], None]) -> None:
    """Do something once, between reading a batch and writing it."""
    commit = projection.commit

    def interrupted(batch: Batch) -> None:
        projection.commit = commit
        what()
        commit(batch)

    projection.commit = interrupted


def test_a_batch_that_a_flip_overtakes_is_dropped_and_done_again(rig: Rig) -> None:
    rig.writer.append("s", turn("t0"))
    projection = rig.projection()
    rig.drain(projection)
    rig.writer.append("s", turn("t1"))
    before_commit(projection, lambda: flip(rig))
    with pytest.raises(LostPartition):
        projection.project(range(rig.partitions))
    assert projection.generation == 2
    rig.drain(projection)
    rig.check()


def test_a_flip_waits_for_a_transaction_that_is_open(rig: Rig) -> None:
    """The worker has moved its offset and not yet committed: the flip takes its events along."""
    rig.writer.append("s", turn("t0"))
    projection = rig.projection()
    rig.drain(projection)
    rig.writer.append("s", turn("t1"))
    replaying = threading.Thread(target=lambda: flip(rig))
    write = Batch._write  # pyright: ignore[reportPrivateUsage]
    started: list[bool] = []

    def slow_write(batch: Batch, *args: object, **kwargs: object) -> None:
        if not started:
            started.append(True)
            replaying.start()
            wait_until(lambda: lock_waits(rig) > 0, "the flip waits for the offsets")
        write(batch, *args, **kwargs)  # pyright: ignore[reportArgumentType]

    with patched(Batch, "_write", slow_write):
        rig.drain(projection)
    replaying.join(30)
    rig.writer.append("s", turn("t2"))
    rig.drain(projection)
    assert projection.generation == 2
    rig.check()


def lock_waits(rig: Rig) -> int:
    row = rig.connection.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("read", ["statement", "scalar"])
def test_a_flip_between_the_two_reads_of_a_worker(rig: Rig, read: str) -> None:
    """A worker that has read the old generation and the new epochs would write where nobody reads,
    whichever of its reads comes first."""
    rig.writer.append("s", turn("t0"))
    projection = rig.projection()
    rig.drain(projection)
    original = getattr(projection_module, read)
    flipped: list[bool] = []

    def flip_first(*args: object, **kwargs: object) -> object:
        if not flipped:
            flipped.append(True)
            flip(rig)
        return original(*args, **kwargs)

    with patched(projection_module, read, flip_first):
        projection.reload(range(rig.partitions))
    rig.writer.append("s", turn("t1"))
    rig.drain(projection)
    rig.check()


def test_turns_arrive_while_replays_follow_each_other(rig: Rig) -> None:
    stop = threading.Event()
    errors: list[Exception] = []

    def write() -> None:
        number = 0
        while not stop.wait(0.002):
            number += 1
            try:
                rig.writer.append(f"s{number % 5}", turn(f"t{number}"))
            except Exception as error:
                errors.append(error)
                return

    writing = threading.Thread(target=write)
    with rig.worker(), rig.worker():
        writing.start()
        for _ in range(3):
            flip(rig)
        stop.set()
        writing.join()
        rig.wait_projected()
    assert errors == []
    row = rig.connection.execute("SELECT generation FROM turnlog.active").fetchone()
    assert row == (4,)


_LACKS_A_SESSION = "DELETE FROM {g}.sessions WHERE session_id = 's3'"
_LACKS_AN_EVENT = (
    "UPDATE {g}.sessions SET seq = 1, event_id = (SELECT event_id FROM turnlog.archive"
    " WHERE session_id = 's3' AND seq = 1) WHERE session_id = 's3'"
)
_HOLDS_ANOTHER_EVENT = "UPDATE {g}.sessions SET event_id = 'another' WHERE session_id = 's3'"


@pytest.mark.parametrize("damage", [_LACKS_A_SESSION, _LACKS_AN_EVENT, _HOLDS_ANOTHER_EVENT])
def test_a_replay_that_is_not_what_the_archive_says_is_refused(rig: Rig, damage: str) -> None:
    for number in range(6):
        rig.writer.append(f"s{number}", turn("t0"), turn("t1"))
    rig.drain(rig.projection())

    def spoil(progress: Progress) -> None:
        if progress.phase == "indexes":
            query = damage.replace("{g}", "g2")
            rig.connection.execute(cast(LiteralString, query))

    with pytest.raises(NotProven, match="s3"):
        replay(rig.postgres_url, tell=spoil, processes=1)
    rows = rig.connection.execute("SELECT state FROM turnlog.generations").fetchall()
    assert rows == [("live",)]


def test_only_one_replay_at_a_time(rig: Rig) -> None:
    rig.writer.append("s", turn("t0"))
    rig.drain(rig.projection())
    refused: list[str] = []

    def tell(progress: Progress) -> None:
        if progress.phase == "indexes":
            with pytest.raises(ReplayUnderWay) as error:
                flip(rig)
            refused.append(str(error.value))

    replay(rig.postgres_url, tell=tell, processes=1)
    assert len(refused) == 1
    rig.check()


def test_what_a_killed_replay_left_is_dropped_by_the_next(rig: Rig) -> None:
    rig.writer.append("s", turn("t0"))
    rig.drain(rig.projection())

    def die(progress: Progress) -> None:
        if progress.phase == "indexes":
            rig.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'turnlog replay' AND datname = current_database()"
            )

    with pytest.raises(Exception, match="terminating connection"):
        replay(rig.postgres_url, tell=die, processes=1)
    states = rig.connection.execute("SELECT state FROM turnlog.generations ORDER BY 1").fetchall()
    assert states == [("building",), ("live",)]
    flip(rig)
    states = rig.connection.execute("SELECT state FROM turnlog.generations ORDER BY 1").fetchall()
    assert states == [("kept",), ("live",)]
    rig.check()


def test_the_live_generation_cannot_be_dropped(rig: Rig) -> None:
    with pytest.raises(NoSuchGeneration, match="live"):
        drop_generation(rig.connection, 1)


def test_two_replays_give_the_same_bytes(rig: Rig) -> None:
    for number in range(50):
        rig.writer.append(f"s{number % 7}", turn(f"t{number}", "tab\t back\\slash \0 \u2028 " * 3))
    rig.drain(rig.projection())
    live = read_tables(rig.connection, 1)
    with patched(rebuild_module, "LARGE_SESSION_EVENTS", 5):
        flip(rig)
    flip(rig)
    assert read_tables(rig.connection, 2) == live
    assert read_tables(rig.connection, 3) == live
