"""Erasing as a duty of the worker that owns a partition: what it has taken out of Postgres goes
from Redis next, and what another worker had begun is gone on with."""

import time

from turnlog_projector.erasing import clean
from turnlog_projector.erasing_files import Files
from turnlog_projector.log import SessionKey
from turnlog_projector.projection import Projection
from turnlog_projector.replaying import drop_abandoned

_LOOK_SECONDS = 5.0
"""How often it looks for what others have left; its own erasures follow at once."""
_SOON_SECONDS = 0.5


class EraseDuty:
    """What one worker does about erasures."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._files = Files(projection.log.client, projection.connection)
        self._next_look = 0.0
        self.next_at = 0.0
        """When there is something to do again, by the monotonic clock."""

    def step(self, owned: set[int]) -> list[SessionKey]:
        """Do a round of what is due, if anything is; returns sessions of which Redis does not hold
        what is archived: they are to be healed. Raises the drivers' errors."""
        now = time.monotonic()
        due = self._projection.erased & owned
        if now >= self._next_look:
            due = set(owned)
            # What a killed replay has left holds what was erased since.
            drop_abandoned(self._projection.connection)
        if now < self.next_at and not due:
            return []
        stale: list[SessionKey] = []
        if due:
            cleaned = clean(self._projection.log, self._projection.connection, due)
            stale = cleaned.stale
            self._projection.erased -= due
            self._next_look = now if cleaned.more else now + _LOOK_SECONDS
        self._files.step(now)
        soon = _SOON_SECONDS if self._files.waiting or due else _LOOK_SECONDS
        self.next_at = min(self._next_look, now + soon)
        return stale
