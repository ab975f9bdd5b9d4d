"""A session folded afresh has the rows that folding it once, as it came, has given it."""

import random

import pytest
from appending import NewEvent, event, foreign, poison, turn
from rig import Rig, patched
from truth import read_tables

from turnlog_projector import refold
from turnlog_projector.batch import Parked
from turnlog_projector.refold import refold_session

pytestmark = pytest.mark.integration


def generation(rig: Rig) -> int:
    row = rig.connection.execute("SELECT generation FROM turnlog.active").fetchone()
    assert row is not None
    return row[0]


def refolded(rig: Rig, session_id: str, **upto: int) -> Parked | None:
    with rig.connection.transaction():
        return refold_session(rig.connection, generation(rig), rig.key(session_id), **upto)


def some_events(count: int) -> list[NewEvent]:
    """Turns, edits, retractions, clears and branches, so that chunks depend on those before."""
    dice = random.Random(7)
    events = [turn("t0")]
    for number in range(1, count):
        named = f"t{dice.randrange(number)}"
        events.append(
            dice.choice(
                [
                    turn(f"t{number}"),
                    turn(f"t{number}"),
                    turn(f"t{number}", parent_turn_id=named),
                    event("turn.edited", {"turn_id": named, "content": f"edit {number}"}),
                    event("turn.retracted", {"turn_id": named}),
                    event("turn.erased", {"turn_id": named}),
                    event("session.updated", {"title": f"title {number}"}),
                    foreign("turn.sung", {"turn_id": named}),
                ]
            )
        )
    return events


def test_a_session_folded_afresh_has_the_same_rows(rig: Rig) -> None:
    rig.writer.append("s0", *some_events(120))
    rig.writer.append("s1", *some_events(20))
    rig.drain(rig.projection())
    before = read_tables(rig.connection, generation(rig))
    with patched(refold, "CHUNK_EVENTS", 7):
        assert refolded(rig, "s0") is None
    assert read_tables(rig.connection, generation(rig)) == before


def test_chunks_are_bounded_by_bytes_too(rig: Rig) -> None:
    rig.writer.append("s0", *some_events(60))
    rig.drain(rig.projection())
    before = read_tables(rig.connection, generation(rig))
    with patched(refold, "CHUNK_BYTES", 1):
        assert refolded(rig, "s0") is None
    assert read_tables(rig.connection, generation(rig)) == before


def test_it_stops_at_a_seq_or_at_a_place_in_the_archive(rig: Rig) -> None:
    rig.writer.append("s0", *[turn(f"t{number}") for number in range(6)])
    rig.drain(rig.projection())
    for upto in ({"upto_seq": 4}, {"upto_pos": 4}):
        assert refolded(rig, "s0", **upto) is None
        tables = read_tables(rig.connection, generation(rig))
        assert [row[3] for row in tables["turns"]] == [1, 2, 3, 4]


def test_what_cannot_be_folded_stops_it_unless_it_is_skipped(rig: Rig) -> None:
    rig.writer.append("s0", turn("t0"), poison(), turn("t1"))
    rig.drain(rig.projection())
    parked = refolded(rig, "s0")
    assert parked is not None
    assert parked.seq == 2
    rig.connection.execute("UPDATE turnlog.parked SET state = 'skipped'")
    assert refolded(rig, "s0") is None
    tables = read_tables(rig.connection, generation(rig))
    assert [row[3] for row in tables["turns"]] == [1, 3]


def test_it_works_in_a_pipeline_as_well(rig: Rig) -> None:
    rig.writer.append("s0", *some_events(30))
    rig.drain(rig.projection())
    before = read_tables(rig.connection, generation(rig))
    with rig.connection.pipeline():
        assert refolded(rig, "s0") is None
    assert read_tables(rig.connection, generation(rig)) == before
