"""Retention as a duty of the worker that owns a partition: once an hour, a few sessions at a time
between its other work."""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta

from turnlog_projector.database import Database
from turnlog_projector.log import LogReader
from turnlog_projector.retention import due_before, erase_idle, idle_sessions
from turnlog_projector.settings import Settings

_LONGEST_INTERVAL = timedelta(hours=1)
_SHORTEST_INTERVAL = timedelta(seconds=1)
_FIRST_AFTER_S = 60.0
_AT_ONCE = 50
_SHARE = 0.1
"""A pass takes at most this part of the worker's time: the erasures themselves are work, too."""

logger = logging.getLogger(__name__)


class RetentionDuty:
    """What one worker does about retention; nothing unless TURNLOG_RETENTION_DAYS is set."""

    def __init__(self, settings: Settings, log: LogReader, connection: Database) -> None:
        self._log = log
        self._connection = connection
        self._older_than = timedelta(days=settings.retention_days)
        interval = max(min(self._older_than / 24, _LONGEST_INTERVAL), _SHORTEST_INTERVAL)
        self._interval_s = interval.total_seconds()
        self._owned: set[int] = set()
        self._pass: Iterator[None] | None = None
        self.next_at = time.monotonic() + min(_FIRST_AFTER_S, self._interval_s)
        """When there is something to do again, by the monotonic clock."""
        if not self._older_than:
            self.next_at = float("inf")

    def step(self, owned: set[int]) -> None:
        """Do a small part of what is due, if anything is. Raises the drivers' errors."""
        began = time.monotonic()
        if began < self.next_at or not owned:
            return
        self._owned = owned
        if self._pass is None:
            self._pass = self._erase()
        more = next(self._pass, self) is not self
        now = time.monotonic()
        if more:
            self.next_at = now + (now - began) * (1 / _SHARE - 1)
        else:
            self._pass = None
            self.next_at = now + self._interval_s

    def _erase(self) -> Iterator[None]:
        """One pass over the partitions that the worker owns."""
        before = due_before(self._log, self._connection, self._older_than)
        erased = failed = 0
        for partition in sorted(self._owned):
            if partition not in self._owned:  # not any more
                continue
            for idle in idle_sessions(self._connection, partition, before, count=_AT_ONCE):
                asked = erase_idle(self._log, idle)
                erased += len(asked.erased)
                failed += len(asked.failed)
                yield
            yield
        if erased or failed:
            logger.info(
                "retention: erased %d sessions idle for %g days; %d could not be, their streams "
                "are damaged",
                erased,
                self._older_than / timedelta(days=1),
                failed,
            )
