"""Workers trim by themselves."""

import logging

import pytest
from appending import turn
from rig import Rig
from servers import wait_until
from trimming import head

from turnlog_projector.settings import BadSettings, Settings, load

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


@pytest.mark.parametrize(("given", "days"), [("off", 0), ("0", 0), ("0.5", 0.5), ("30", 30)])
def test_settings(monkeypatch: pytest.MonkeyPatch, given: str, days: float) -> None:
    monkeypatch.setenv("TURNLOG_TRIM_AFTER_DAYS", given)
    assert load(Settings).trim_after_days == days


@pytest.mark.parametrize("given", ["-1", "a week", "nan", "inf"])
def test_bad_settings(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("TURNLOG_TRIM_AFTER_DAYS", given)
    with pytest.raises(BadSettings, match="TURNLOG_TRIM_AFTER_DAYS"):
        load(Settings)
