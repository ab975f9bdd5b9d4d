"""Sessions that nothing has come to for too long are erased; others never."""

import time
from datetime import timedelta

import pytest
from appending import event, turn
from rig import Rig, patched
from servers import wait_until

from turnlog_projector import retention, retention_duty
from turnlog_projector.log import LogReader
from turnlog_projector.retention import Idle, due_before, erase_idle, idle_sessions
from turnlog_projector.settings import Settings

pytestmark = pytest.mark.integration

MONTH = timedelta(days=30)


def age(rig: Rig, days: int, *session_ids: str) -> None:
    """The last events of sessions, as archived, are so old."""
    rig.connection.execute(
        "UPDATE turnlog.heads SET recorded_at = recorded_at - %s * 86400000::bigint"
        " WHERE session_id = ANY (%s)",
        (days, list(session_ids)),
    )


def due(rig: Rig, *, tenant: str | None = None, count: int = 2) -> list[Idle]:
    """All that is due after a month."""
    before = due_before(LogReader(rig.client, rig.partitions), rig.connection, MONTH)
    return [
        idle
        for partition in range(rig.partitions)
        for some in idle_sessions(rig.connection, partition, before, tenant=tenant, count=count)
        for idle in some
    ]


def names(idle: list[Idle]) -> list[str]:
    return sorted(each.key.session_id for each in idle)


def test_sessions_are_due_by_their_last_event(rig: Rig) -> None:
    for number in range(9):
        rig.writer.append(f"s{number}", turn("t0"))
    rig.drain(rig.projection())
    age(rig, 29, "s0")
    age(rig, 31, *[f"s{number}" for number in range(1, 8)])
    assert names(due(rig)) == [f"s{number}" for number in range(1, 8)]
    assert names(due(rig, tenant="other")) == []
    assert due(rig)[0].seq == 1


@pytest.mark.parametrize("ahead", ["redis", "postgres"])
def test_a_clock_that_runs_ahead_erases_nothing(rig: Rig, ahead: str) -> None:
    now = int(time.time())
    redis_now, postgres_now = (now + 10**8, now) if ahead == "redis" else (now, now + 10**8)
    log = LogReader(rig.client, rig.partitions)

    def postgres_time(*_: object) -> float:
        return postgres_now

    with (
        patched(rig.client, "time", lambda: (redis_now, 0)),
        patched(retention, "scalar", postgres_time),
    ):
        before = due_before(log, rig.connection, MONTH)
    assert before == (now - 30 * 86400) * 1000


def test_what_is_erased_is_not_due_again(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t0"), event("session.erased"))
    rig.writer.append("s1", turn("t0"), event("turn.erased", {"turn_id": "t0"}))
    rig.drain(projection)
    age(rig, 31, "s0", "s1")
    assert names(due(rig)) == ["s1"]


def test_a_session_that_gets_an_event_in_between_stays(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t0"))
    rig.writer.append("s1", turn("t0"))
    rig.drain(projection)
    age(rig, 31, "s0", "s1")
    idle = due(rig)
    rig.writer.append("s0", turn("t1"))
    asked = erase_idle(projection.log, idle)
    assert [request.key.session_id for request in asked.erased] == ["s1"]
    assert [request.key.session_id for request in asked.changed] == ["s0"]
    again = erase_idle(projection.log, idle)
    assert [request.key.session_id for request in again.before] == ["s1"]
    rig.drain(projection)
    rig.check()


def test_a_session_whose_stream_is_damaged_is_left_and_named(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t0"))
    rig.drain(projection)
    age(rig, 31, "s0")
    rig.client.delete(rig.writer.keys("s0").stream)
    asked = erase_idle(projection.log, due(rig))
    assert [request.key.session_id for request, _ in asked.failed] == ["s0"]


def erased(rig: Rig) -> list[str]:
    rows = rig.connection.execute("SELECT session_id FROM turnlog.erasures ORDER BY 1")
    return [row[0] for row in rows]


def test_a_worker_erases_what_is_due_by_itself(rig: Rig) -> None:
    for number in range(5):
        rig.writer.append(f"s{number}", turn("t0"))
    rig.drain(rig.projection())
    age(rig, 31, "s0", "s1", "s2", "s3")
    with (
        patched(retention_duty, "_FIRST_AFTER_S", 0.0),
        patched(retention_duty, "_AT_ONCE", 1),
        rig.worker(retention_days=30),
    ):
        wait_until(lambda: erased(rig) == ["s0", "s1", "s2", "s3"], "what is due is erased")
        rig.wait_projected()


def test_without_a_setting_nothing_is_erased(rig: Rig) -> None:
    rig.writer.append("s0", turn("t0"))
    rig.drain(rig.projection())
    age(rig, 3100, "s0")
    with patched(retention_duty, "_FIRST_AFTER_S", 0.0):
        duty = retention_duty.RetentionDuty(Settings(), rig.projection().log, rig.connection)
        for _ in range(5):
            duty.step(set(range(rig.partitions)))
    assert due(rig)
    rig.drain(rig.projection())
    assert erased(rig) == []
