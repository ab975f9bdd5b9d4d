"""Audits as a duty of the worker that owns a partition: in turn, all the time; and at once where
this run of the Redis server has not been audited yet, for it may have lost its newest events."""

import logging
import time
from collections.abc import Iterator

from turnlog_projector.audit import audit
from turnlog_projector.batch import LostPartition
from turnlog_projector.projection import Projection
from turnlog_projector.sqlfiles import statement

_AT_ONCE = 4
"""Audits under way, so that what is being appended need not wait for all of them."""
_AGAIN_SECONDS = 1.0

logger = logging.getLogger(__name__)


class AuditDuty:
    """What one worker does about audits. Raises the drivers' errors."""

    def __init__(self, projection: Projection, *, interval_s: float) -> None:
        self._projection = projection
        self._interval_s = interval_s
        self._run_id = ""
        self._owned: set[int] = set()
        self._due: dict[int, float] = {}
        self._steps: dict[int, Iterator[int | None]] = {}
        self._run_of: dict[int, str] = {}
        """In which run of the server each audit under way has begun."""
        self.without_anchor: set[int] = set()
        """Audited because the index lost the anchor: nothing to project from until that is done.
        During any other audit projection goes on, and the audit waits for it."""

    @property
    def under_way(self) -> bool:
        """Whether any partition is being audited."""
        return bool(self._steps)

    @property
    def next_at(self) -> float:
        """When an audit is due that is not under way, by the monotonic clock."""
        if len(self._steps) >= _AT_ONCE:
            return float("inf")
        return min((self._due[p] for p in self._owned - self._steps.keys()), default=float("inf"))

    def own(self, owned: set[int], run_id: str) -> None:
        """Note which partitions the worker owns, and which run of the server it talks to."""
        new = owned - self._owned if run_id == self._run_id else owned
        self._owned = owned
        self._run_id = run_id
        self._steps = {p: steps for p, steps in self._steps.items() if p in owned}
        self.without_anchor &= owned
        if not new:
            return
        rows = self._projection.connection.execute(
            statement("audited_in_run"), (sorted(new), run_id)
        )
        audited = {row[0] for row in rows}
        now = time.monotonic()
        for place, partition in enumerate(sorted(new)):
            wait = self._interval_s * (place + 1) / len(owned) if partition in audited else 0.0
            self._due[partition] = now + wait

    def start(self, partition: int, *, move_anchor: bool) -> None:
        """Audit a partition now."""
        self._steps[partition] = audit(self._projection, partition, move_anchor=move_anchor)
        self._run_of[partition] = self._run_id
        if move_anchor:
            self.without_anchor.add(partition)

    def start_due(self) -> set[int]:
        """Start those that are due, a few at a time; returns which."""
        started: set[int] = set()
        now = time.monotonic()
        for partition in sorted(self._owned - self._steps.keys(), key=self._due.__getitem__):
            if len(self._steps) >= _AT_ONCE or self._due[partition] > now:
                break
            self.start(partition, move_anchor=False)
            started.add(partition)
        return started

    def step(self) -> tuple[bool, set[int]]:
        """Go on with the audits under way; returns whether any did something, or all only wait for
        the projection, and the partitions that are done."""
        worked = False
        done: set[int] = set()
        for partition, steps in list(self._steps.items()):
            try:
                step = next(steps, self)
            except LostPartition as error:
                logger.info("%s", error)
                self._end(partition, again_s=_AGAIN_SECONDS)
                done.add(partition)
                continue
            if step is self:
                self._end(partition, again_s=self._interval_s)
                self._projection.connection.execute(
                    statement("put_audit"), (partition, self._run_of[partition])
                )
                done.add(partition)
            elif step is not None:
                worked = True
        return worked or bool(done), done

    def _end(self, partition: int, *, again_s: float) -> None:
        del self._steps[partition]
        self.without_anchor.discard(partition)
        self._due[partition] = time.monotonic() + again_s
