"""Statistics of tables that autovacuum has not come round to yet."""

import pytest
from appending import event, turn
from rig import Rig
from servers import wait_until

from turnlog_projector.refold import refold_session
from turnlog_projector.sqlfiles import SCRATCH, statement
from turnlog_projector.young import analyse_filled, analyse_young

pytestmark = pytest.mark.integration


def test_a_table_that_grew_is_analysed_once(rig: Rig) -> None:
    turns = [event("turn.appended", {"turn_id": f"t{n}", "role": "user"}) for n in range(600)]
    rig.writer.append("s", *turns)
    projection = rig.projection()
    while projection.project(range(rig.partitions))[0]:
        pass
    # Postgres counts changes with a delay of about a second.
    grown = wait_until(lambda: analyse_young(rig.connection, 1), "the growth is counted")
    assert "g1.turns" in grown
    known = rig.connection.execute(
        "SELECT n_distinct FROM pg_stats WHERE schemaname = 'g1' AND tablename = 'turns'"
        " AND attname = 'turn_id'"
    ).fetchone()
    assert known is not None
    assert analyse_young(rig.connection, 1) == []


@pytest.mark.parametrize("generation", [1, SCRATCH])
def test_a_table_is_analysed_within_the_transaction_that_fills_it(
    rig: Rig, generation: int
) -> None:
    """A session of many chunks is folded in one: from the second chunk on, a turn must not be
    looked for among all turns of the session."""
    rig.writer.append("s", *[turn(f"t{n}", f"{n} " * 100) for n in range(2500)])
    rig.drain(rig.projection())
    with rig.connection.transaction():
        rig.connection.execute("TRUNCATE g1.turns")
        rig.connection.execute("ANALYZE g1.turns")
        if generation == SCRATCH:
            rig.connection.execute(statement("scratch", generation=1))
        assert refold_session(rig.connection, generation, rig.key("s")) is None
        assert analyse_filled(rig.connection, generation) == []
        query = "EXPLAIN " + statement("load_turns", generation=generation)
        names = ["default"] * 20, ["s"] * 20, [f"t{n}" for n in range(20)]
        plan = [row[0] for row in rig.connection.execute(query, (None, *names))]
        assert any("Index Cond" in line and "turn_id" in line for line in plan), plan
