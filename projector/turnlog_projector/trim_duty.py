"""Trimming as a duty of the worker that owns a partition: now and then, in small steps between its
other work."""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta

from turnlog_projector.database import Database
from turnlog_projector.log import LogReader
from turnlog_projector.settings import Settings
from turnlog_projector.trim import Trimmed, Trimmer
from turnlog_projector.trim_marks import TrimRule, cuts, mark

_SHORTEST_INTERVAL = timedelta(seconds=1)
_FIRST_AFTER_S = 60.0
_IDLE_SHARE = 0.5
_BUSY_SHARE = 0.1

logger = logging.getLogger(__name__)


class TrimDuty:
    """What one worker does about trimming. Every hour (more often when events stay for less than a
    day) it notes how far its partitions are archived, and trims them."""

    def __init__(self, settings: Settings, log: LogReader, connection: Database) -> None:
        self._log = log
        self._connection = connection
        age = timedelta(days=settings.trim_after_days)
        self._rule = TrimRule.of(age, age, settings.trim_keep_events)
        self._interval = max(self._rule.interval, _SHORTEST_INTERVAL)
        self._owned: set[int] = set()
        self._pass: Iterator[None] | None = None
        self.next_at = time.monotonic() + min(_FIRST_AFTER_S, self._interval.total_seconds())
        """When there is something to do again, by the monotonic clock."""
        if not age:
            self.next_at = float("inf")

    def step(self, owned: set[int], *, busy: bool) -> None:
        """Do a small part of what is due, if anything is; a busy worker does so less often. Raises
        the drivers' errors."""
        began = time.monotonic()
        if began < self.next_at or not owned:
            return
        self._owned = owned
        if self._pass is None:
            self._pass = self._trim()
        more = next(self._pass, self) is not self
        now = time.monotonic()
        if more:
            share = _BUSY_SHARE if busy else _IDLE_SHARE
            self.next_at = now + (now - began) * (1 / share - 1)
        else:
            self._pass = None
            self.next_at = now + self._interval.total_seconds()

    def _trim(self) -> Iterator[None]:
        """One pass over the partitions that the worker owns."""
        mark(self._connection, self._owned, self._interval)
        trimmer = Trimmer(self._log, self._connection, self._rule)
        for partition in sorted(self._owned):
            if partition not in self._owned:  # not any more
                continue
            for cut in cuts(self._connection, [partition], self._rule):
                for _ in trimmer.partition(cut):
                    yield
        if trimmer.done != Trimmed():
            logger.info(
                "trimmed %d events of %d sessions from Redis, %d went cold; %d index entries; "
                "%d sessions left alone",
                trimmer.done.events,
                trimmer.done.sessions,
                trimmer.done.cold,
                trimmer.done.index_entries,
                trimmer.done.left,
            )
