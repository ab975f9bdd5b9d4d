"""Statistics are made from the rows: whatever was appended, they equal a count of every turn,
before a replay and after it. Rows of an earlier release get the columns that they are made of."""

from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, cast

import pytest
from appending import event, turn
from counted import count, held
from histories import APPENDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json
from rig import Rig
from stage import Stage
from truth import read_tables

from turnlog_api.days import Days, days
from turnlog_api.queries import fetch
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_api.stats import StatsFilters, stats
from turnlog_projector.database import Database
from turnlog_projector.sqlfiles import migrations

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC) + timedelta(hours=1)
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"]


def ask(connection: Database, scope: Scope, asked: Days, **filters: str) -> dict[str, Any]:
    """The statistics as a reader gets them."""
    with connection.transaction():
        connection.execute(sql("read_as", 0), scope.settings())
        found = fetch(connection, stats(scope, asked, StatsFilters(**filters)))
    return from_json(found.body)


def close(found: Any, expected: Any) -> bool:
    """Equal, but for how an average was rounded."""
    if isinstance(found, dict) and isinstance(expected, dict):
        mine, theirs = cast(dict[str, Any], found), cast(dict[str, Any], expected)
        return mine.keys() == theirs.keys() and all(close(mine[k], theirs[k]) for k in mine)
    if isinstance(found, list) and isinstance(expected, list):
        items, others = cast(list[Any], found), cast(list[Any], expected)
        return len(items) == len(others) and all(map(close, items, others))
    return found == (pytest.approx(expected) if isinstance(expected, float) else expected)


@settings(
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(APPENDS, max_size=25), zone=st.sampled_from(ZONES))
def test_statistics_equal_a_count_of_every_turn(rig: Rig, steps: list[Any], zone: str) -> None:
    stage = Stage(rig)
    stage.clear()
    for session_id, events in steps:
        stage.append(session_id, events)
    rig.drain(stage.workers[0])

    def check() -> None:
        sessions = held(rig.connection, stage.generation())
        for asked in (
            days("2019-12-20", "2020-01-10", zone, now=NOW),
            days(None, None, zone, now=NOW),
        ):
            for reader, filters in (
                (None, {}),
                ("u1", {}),
                ("u2", {}),
                (None, {"project": "p1"}),
                (None, {"user_id": "u1", "session_id": "s1"}),
            ):
                scope = Scope("default", reader)
                found = ask(rig.connection, scope, asked, **filters)
                expected = count(sessions, asked.since, asked.until, zone, reader=reader, **filters)
                assert close(found, expected), (found, expected)

    check()
    stage.replay()
    check()
    for worker in stage.workers:
        rig.discard(worker)


_FORMER = """
DROP FUNCTION turnlog.stats;
DROP INDEX g1.turns_by_time, g1.turns_rated;
ALTER TABLE g1.turns
    DROP COLUMN model, DROP COLUMN input_tokens, DROP COLUMN output_tokens, DROP COLUMN counters,
    DROP COLUMN counts, DROP COLUMN response_us, DROP COLUMN ratings;
"""


def upgrade(connection: Database) -> None:
    """What the migration does to a generation that is there already."""
    connection.execute(cast(LiteralString, _FORMER))
    [text] = [text for _, name, text in migrations() if name == "stats"]
    with connection.transaction():
        connection.execute(cast(LiteralString, text))


@settings(
    deadline=None,
    derandomize=True,
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(APPENDS, max_size=25))
def test_rows_of_an_earlier_release_are_brought_up_to_date(rig: Rig, steps: list[Any]) -> None:
    stage = Stage(rig)
    stage.clear()
    for session_id, events in steps:
        stage.append(session_id, events)
    rig.drain(stage.workers[0])
    generation = stage.generation()
    before = read_tables(rig.connection, generation)
    upgrade(rig.connection)
    assert read_tables(rig.connection, generation) == before
    rig.check()
    for worker in stage.workers:
        rig.discard(worker)


def test_what_an_earlier_release_wrote_counts(rig: Rig) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2**53, "a": 1, "b": 2.5, "c,": 1, "d": 0}
    usage |= {"\0": 1, "e": {"f": 1}, "g": "1"} | {f"more{number}": 1 for number in range(9)}
    answer: dict[str, Any] = {"role": "assistant", "model": "m\\u0000é" * 40, "usage": usage}
    rig.writer.append(
        "s",
        event("session.started", {"user_id": "u"}),
        turn("t1", "\0 \\u0000 \\\0", **answer, response_time_ms=0.0005, metadata={"\0": "\0"}),
        turn("t2", "[]", usage={}, metadata={"annotations": [], "model": None, "usage": None}),
        *(
            event("turn.annotated", {"turn_id": "t2", "kind": "rating", "value": value, "by": by})
            for value, by in ((True, "a"), (-1, "b"), (1e-7, "c"), (2.0**53, "d"))
        ),
        event("turn.annotated", {"turn_id": "t2", "kind": "comment", "value": "5", "by": "a"}),
    )
    rig.drain(rig.projection())
    before = read_tables(rig.connection, 1)
    upgrade(rig.connection)
    assert read_tables(rig.connection, 1) == before
    figures = rig.connection.execute(
        "SELECT model, input_tokens, output_tokens, counters, counts, response_us, ratings"
        " FROM g1.turns ORDER BY seq"
    ).fetchall()
    names = "a,d," + ",".join(f"more{number}" for number in range(6))
    model = ("m\\u0000é" * 40)[:128]
    assert figures == [
        (model, 3, 2**53, names, [1, 0, 1, 1, 1, 1, 1, 1], 0, None),
        (None, None, None, None, None, None, "true,-1,1e-7,9007199254740992.0"),
    ]
    rig.check()
