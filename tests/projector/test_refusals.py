"""Rows that Postgres will never take park their session; everything else goes on."""

import random
from collections.abc import Callable
from functools import partial
from typing import LiteralString

import psycopg
import pytest
from appending import NewEvent, event, turn
from psycopg import sql
from rig import Rig, patched
from servers import wait_until

from turnlog_projector import batch as batch_module
from turnlog_projector import replaying
from turnlog_projector.database import Database
from turnlog_projector.following import Progress
from turnlog_projector.init import create_generation
from turnlog_projector.parking import ParkedSession, list_parked, retry
from turnlog_projector.replay import replay

pytestmark = pytest.mark.integration

SECRET = "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20_000))
"""Too much for an index row, even compressed."""


def refuse_long_turns(rig: Rig) -> Callable[[], object]:
    """An index that cannot hold every row, as a release might bring one; returns what drops it."""
    rig.connection.execute("CREATE INDEX too_narrow ON g1.turns (body)")
    return lambda: rig.connection.execute("DROP INDEX g1.too_narrow")


def archived(rig: Rig) -> int:
    return rig.count("archive")


def parked(rig: Rig) -> list[ParkedSession]:
    return sorted(list_parked(rig.connection))


@pytest.mark.parametrize("copied", [1, 500])
@pytest.mark.parametrize("place", [0, 3, 9])
def test_one_session_is_parked_and_its_neighbours_go_on(rig: Rig, copied: int, place: int) -> None:
    mend = refuse_long_turns(rig)
    rig.writer.append("bad", *[turn(f"t{n}", SECRET if n == place else "Hi") for n in range(10)])
    for number in range(20):
        rig.writer.append(f"good{number}", turn("t0"), turn("t1"))
    projection = rig.projection()
    with patched(batch_module, "LARGE_BATCH_EVENTS", copied):
        rig.drain(projection)
        rig.writer.append("bad", turn("later"))
        rig.drain(projection)
    [found] = parked(rig)
    assert (found.session_id, found.seq, found.waiting) == ("bad", place + 1, 11 - place)
    assert found.error == "Postgres refuses its rows: ProgramLimitExceeded 54000"
    assert archived(rig) == 51
    mend()
    retry(rig.projection(), "default", "bad")
    rig.check()


def test_a_retry_that_is_refused_again_changes_nothing(rig: Rig) -> None:
    refuse_long_turns(rig)
    rig.writer.append("s", turn("t0"), turn("t1"), turn("t2", SECRET), turn("t3"))
    rig.drain(rig.projection())
    before = parked(rig)
    assert retry(rig.projection(), "default", "s") == 0
    assert [each._replace(at="") for each in parked(rig)] == [
        each._replace(at="") for each in before
    ]
    assert retry(rig.projection(), "default", "s", skip=True) == 2
    rig.check()


@pytest.mark.parametrize("late", [False, True], ids=["copied", "caught up"])
def test_a_replay_parks_what_the_live_projection_has_parked(rig: Rig, late: bool) -> None:
    forbidden = "ALTER TABLE {}.turns ADD CONSTRAINT wrong CHECK (body NOT LIKE '%abc%')"
    rig.connection.execute(sql.SQL(forbidden).format(sql.Identifier("g1")))

    def append() -> None:
        for number in range(20):
            rig.writer.append(f"s{number}", turn("t0"), turn("t1", "abc" if number == 7 else "Hi"))
        rig.drain(rig.projection())

    def tell(progress: Progress) -> None:
        if late and progress.phase == "indexes" and not archived(rig):
            append()

    if not late:
        append()
    with patched(replaying, "create_generation", partial(narrow_generation, forbidden)):
        replay(rig.postgres_url, tell=tell, processes=1)
    [found] = parked(rig)
    assert (found.session_id, found.seq) == ("s7", 2)
    assert found.error == "Postgres refuses its rows: CheckViolation 23514 turns wrong"
    rows = rig.connection.execute("SELECT count(*) FROM g2.turns").fetchone()
    assert rows == (39,)


def narrow_generation(forbidden: LiteralString, connection: Database, *, state: str) -> int:
    """A new generation that does not take every row."""
    made = create_generation(connection, state=state)
    connection.execute(sql.SQL(forbidden).format(sql.Identifier(f"g{made}")))
    return made


def test_several_sessions_are_found_in_one_batch(rig: Rig) -> None:
    refuse_long_turns(rig)
    for number in range(40):
        rig.writer.append(f"s{number}", turn("t0", SECRET if number % 9 == 0 else "Hi"))
    rig.drain(rig.projection())
    assert [each.session_id for each in parked(rig)] == sorted(f"s{n}" for n in range(0, 40, 9))
    assert archived(rig) == 40


def test_a_row_that_grew_is_refused_at_the_event_that_made_it_grow(rig: Rig) -> None:
    refuse_long_turns(rig)
    rig.writer.append("s", turn("t0"), turn("t1"))
    projection = rig.projection()
    rig.drain(projection)
    rig.writer.append("s", event("turn.edited", {"turn_id": "t0", "content": SECRET}), turn("t2"))
    rig.drain(projection)
    [found] = parked(rig)
    assert (found.seq, found.waiting) == (3, 2)


def test_a_constraint_is_named_without_the_row(rig: Rig) -> None:
    rig.connection.execute(
        "ALTER TABLE g1.turns ADD CONSTRAINT wrong CHECK (body NOT LIKE '%abc%')"
    )
    rig.writer.append("s", turn("t0", "abc"))
    rig.drain(rig.projection())
    [found] = parked(rig)
    assert found.error == "Postgres refuses its rows: CheckViolation 23514 turns wrong"


@pytest.mark.parametrize(
    "fault",
    [psycopg.errors.DiskFull, psycopg.errors.QueryCanceled, psycopg.errors.DeadlockDetected],
)
def test_what_may_pass_is_tried_again_and_parks_nothing(
    rig: Rig, fault: type[psycopg.Error], caplog: pytest.LogCaptureFixture
) -> None:
    """Postgres itself says it, from a trigger."""
    rig.connection.execute(
        f"""
        CREATE TABLE public.faults AS SELECT true AS wanted;
        CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF (SELECT wanted FROM public.faults) THEN
                RAISE EXCEPTION 'not now' USING ERRCODE = '{fault.sqlstate}';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER fail BEFORE INSERT ON g1.turns FOR EACH ROW EXECUTE FUNCTION public.fail()
        """  # pyright: ignore
    )
    events: list[NewEvent] = [turn("t0"), turn("t1")]
    rig.writer.append("s", *events)
    with rig.worker():
        wait_until(lambda: "projection waits: not now" in caplog.text, "the worker waits")
        rig.connection.execute("UPDATE public.faults SET wanted = false")
        rig.wait_projected()
    assert parked(rig) == []
