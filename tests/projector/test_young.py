"""Statistics of tables that autovacuum has not come round to yet."""

import pytest
from appending import event
from rig import Rig
from servers import wait_until

from turnlog_projector.young import analyse_young

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
