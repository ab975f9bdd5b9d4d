"""Workers trim by themselves."""

import logging
from datetime import timedelta

import pytest
from appending import turn
from rig import Rig
from servers import wait_until
from trimming import WEEK, head, mark_now

from turnlog_projector.settings import BadSettings, Settings, load
from turnlog_projector.trim_marks import mark

pytestmark = pytest.mark.integration

A_MOMENT = 1e-6  # days


def test_a_worker_trims_what_it_owns(rig: Rig) -> None:
    for number in range(8):
        rig.writer.append(f"s{number}", turn("t0"), turn("t1"))
    with rig.worker(trim_after_days=A_MOMENT):
        wait_until(
            lambda: all(head(rig, f"s{number}").base == 2 for number in range(8)),
            "all sessions are cold",
        )
        rig.writer.append("s0", turn("t2"))
        wait_until(lambda: head(rig, "s0")[:2] == (3, 3), "the session that went on is cold again")
    rig.wait_projected()


def test_a_worker_trims_while_it_is_busy(rig: Rig) -> None:
    rig.writer.append("quiet", turn("t0"))
    number = 0

    def busy() -> bool:
        nonlocal number
        for _ in range(20):
            rig.writer.append(f"s{number % 50}", turn(f"t{number}"))
            number += 1
        return head(rig, "quiet").base == 1

    with rig.worker(trim_after_days=A_MOMENT):
        wait_until(busy, "the quiet session is cold")
    rig.drain(rig.projection())
    rig.check()


def test_no_age_means_no_trimming(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig.writer.append("s", turn("t0"))
    with rig.worker(trim_after_days=0, audit_seconds=0.2):
        rig.wait_projected()
    assert rig.count("trim_marks") == 0
    assert not [record for record in caplog.records if "trimmed" in record.message]


def test_marks_of_a_clock_that_was_set_back_are_none(rig: Rig) -> None:
    """Else nothing would be noted, nor trimmed, until that time has come."""
    rig.writer.append("s", turn("t0"))
    rig.drain(rig.projection())
    mark_now(rig, ago=-timedelta(days=365))
    rig.writer.append("s", turn("t1"))
    rig.drain(rig.projection())
    mark(rig.connection, range(rig.partitions), timedelta(hours=1))
    [[pos, ahead]] = rig.connection.execute(
        "SELECT max(pos), max(at) > now() FROM turnlog.trim_marks"
    ).fetchall()
    assert (pos, ahead) == (2, False)


def test_a_worker_leaves_quiet_sessions_cold_when_it_heals(rig: Rig) -> None:
    rig.writer.append("s", turn("t0"), turn("t1"))
    rig.drain(rig.projection())
    mark_now(rig, ago=WEEK)
    keys = rig.writer.keys("s")
    rig.client.delete(keys.heads, keys.stream, keys.ids)
    with rig.worker(audit_seconds=0.3):
        wait_until(lambda: rig.client.hexists(keys.heads, keys.field), "the head is back")
    assert head(rig, "s")[:2] == (2, 2)
    rig.check()


def test_old_marks_are_thinned(rig: Rig) -> None:
    """A mark a minute for two hours, a week and two months ago; and of a clock that ran ahead."""
    rig.writer.append("s", turn("t0"))
    rig.drain(rig.projection())
    rig.connection.execute(
        "INSERT INTO turnlog.trim_marks SELECT 0, date_trunc('day', now(), 'UTC') - d * interval"
        " '1 day' + interval '10 hours' + m * interval '1 minute', 1, 1"
        " FROM unnest(ARRAY[-1, 7, 60]) AS d, generate_series(0, 119) AS m"
    )
    mark(rig.connection, [0], timedelta(hours=1))
    rows = rig.connection.execute(
        "SELECT (at AT TIME ZONE 'UTC')::date::text, count(*), to_char(max(at AT TIME ZONE 'UTC'),"
        " 'HH24:MI') FROM turnlog.trim_marks WHERE partition = 0"
        " AND extract(hour FROM at AT TIME ZONE 'UTC') IN (10, 11) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [row[1:] for row in rows] == [(1, "11:59"), (2, "11:59")]


@pytest.mark.parametrize(("given", "days"), [("off", 0), ("0", 0), ("0.5", 0.5), ("30", 30)])
def test_settings(monkeypatch: pytest.MonkeyPatch, given: str, days: float) -> None:
    monkeypatch.setenv("TURNLOG_TRIM_AFTER_DAYS", given)
    assert load(Settings).trim_after_days == days


@pytest.mark.parametrize("given", ["-1", "a week", "nan", "inf"])
def test_bad_settings(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("TURNLOG_TRIM_AFTER_DAYS", given)
    with pytest.raises(BadSettings, match="TURNLOG_TRIM_AFTER_DAYS"):
        load(Settings)
