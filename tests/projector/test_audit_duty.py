"""When partitions are audited, and what the worker does meanwhile."""

import logging
from collections.abc import Iterator

import pytest
from appending import turn
from rig import Rig, patched
from servers import wait_until

from turnlog_projector import audit_duty
from turnlog_projector.audit import audit
from turnlog_projector.audit_duty import AuditDuty
from turnlog_projector.batch import LostPartition
from turnlog_projector.log import LogReader
from turnlog_projector.projection import Projection

pytestmark = pytest.mark.integration


def audited(rig: Rig) -> list[tuple[int, str]]:
    rows = rig.connection.execute("SELECT partition, run_id FROM turnlog.audits ORDER BY 1")
    return [(row[0], row[1]) for row in rows]


def fill(rig: Rig) -> None:
    for number in range(8):
        rig.writer.append(f"s{number}", turn("t0"))


class Recorder:
    """Stands in for the audit of a partition: notes which were begun, and does nothing else."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.fails = False

    def __call__(
        self, projection: Projection, partition: int, *, move_anchor: bool
    ) -> Iterator[int | None]:
        self.begun.append(partition)
        yield 0
        if self.fails:
            raise LostPartition("the connection breaks here, or another owner comes")


def run_out(duty: AuditDuty) -> None:
    """Step until nothing is under way or due."""
    while duty.start_due() or duty.under_way:
        duty.step()


def test_another_run_of_the_server_is_audited_until_it_was_done(rig: Rig) -> None:
    recorder = Recorder()
    projection = rig.projection()
    with patched(audit_duty, "audit", recorder):
        duty = AuditDuty(projection, interval_s=300)
        duty.own({0, 1, 2, 3}, "run-1")
        run_out(duty)
        assert sorted(recorder.begun) == [0, 1, 2, 3]
        assert audited(rig) == [(partition, "run-1") for partition in range(4)]
        # The same run, after a new connection and in another process: in turn, not at once.
        AuditDuty(projection, interval_s=300).own({0, 1, 2, 3}, "run-1")
        run_out(duty)
        assert len(recorder.begun) == 4
        # Another run, but the audits break off: whoever owns them next begins again.
        recorder.fails = True
        duty.own({0, 1, 2, 3}, "run-2")
        duty.start_due()
        duty.step()
        duty.step()
        recorder.fails = False
        recorder.begun.clear()
        heir = AuditDuty(projection, interval_s=300)
        heir.own({1, 3}, "run-2")
        run_out(heir)
        assert sorted(recorder.begun) == [1, 3]
        assert dict(audited(rig)) == {0: "run-1", 1: "run-2", 2: "run-1", 3: "run-2"}


def test_an_audit_that_waits_for_the_projection_does_not_spin(rig: Rig) -> None:
    """The projection is held up; the worker looks at the audit now and then, not all the time."""
    fill(rig)
    asked: list[int] = []
    ends = LogReader.index_ends

    def counted(self: LogReader, partitions: list[int]) -> object:
        asked.append(len(partitions))
        return ends(self, partitions)

    def stuck(self: Projection, partitions: list[int]) -> tuple[int, set[int]]:
        return 0, set()

    with patched(LogReader, "index_ends", counted), patched(Projection, "project", stuck):
        running = rig.worker(lease_seconds=10.0)
        wait_until(lambda: asked.count(rig.partitions) >= 3, "the worker has looked three times")
    rig.wait_projected()
    wait_until(lambda: len(audited(rig)) == rig.partitions, "the audits end")
    running.stop()
    # Each waiting audit asks once a round; between two looks there are thousands of rounds, or few.
    assert asked.count(1) < 200


def test_an_entry_that_never_comes_does_not_hold_up_an_audit(rig: Rig) -> None:
    fill(rig)
    projection = rig.projection()
    partition = rig.key("s0").partition
    steps = audit(projection, partition, move_anchor=False)
    while next(steps) is not None:
        pass
    rig.client.delete(f"{{tl:{partition}}}:index")
    assert sum(step or 0 for step in steps) > 0


def test_a_worker_that_is_overtaken_again_and_again_stands_back(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tries: list[int] = []

    def overtaken(self: Projection, partitions: list[int]) -> tuple[int, set[int]]:
        tries.append(1)
        raise LostPartition("a test says so")

    with patched(Projection, "project", overtaken):
        fill(rig)
        running = rig.worker(lease_seconds=2.0)
        wait_until(lambda: "overtaken 10 times in a row" in caplog.text, "the worker says so")
        before = len(tries)
        wait_until(lambda: "owns" in caplog.text and len(tries) > before, "it tries on")
    rig.wait_projected()
    running.stop()
    # Without a pause it would be thousands.
    assert len(tries) < 100
