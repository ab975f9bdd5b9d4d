"""Rebuilds as a duty of the workers: whichever gets the lock runs them, one after the other, each
in a process of its own, so that projection goes on meanwhile."""

import logging
import multiprocessing
import os
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess

from turnlog_projector.database import Database, scalar
from turnlog_projector.rebuild_jobs import run_rebuild
from turnlog_projector.replaying import ReplayUnderWay, replay_connection
from turnlog_projector.settings import Settings
from turnlog_projector.sqlfiles import statement

_LOCK = 0x72656275696C64  # "rebuild"
_LOOK_SECONDS = 2.0
_AGAIN_SECONDS = 5.0
_END_SECONDS = 10.0
_ATTEMPTS = 3

logger = logging.getLogger(__name__)


class RebuildDuty:
    """What one worker does about rebuilds. The lock belongs to the worker's connection: when either
    dies, another worker finds what was running and begins it again, three times at most."""

    def __init__(self, settings: Settings, connection: Database) -> None:
        self._settings = settings
        self._connection = connection
        self._process: BaseProcess | None = None
        self._rebuild: int | None = None
        """The last one that was begun."""
        self._ended_at = 0.0
        self._locked = False
        self.next_at = 0.0
        """When there is something to do again, by the monotonic clock."""

    def step(self) -> None:
        """Look whether a rebuild waits, begin it, see how it ended. Raises the driver's errors."""
        now = time.monotonic()
        if now < self.next_at:
            return
        self.next_at = now + _LOOK_SECONDS
        if self._process is not None:
            if self._process.is_alive():
                return
            if code := self._process.exitcode:
                logger.warning("the process of rebuild %s ended with %s", self._rebuild, code)
            self._process = None
            self._ended_at = now
        if not self._locked:
            if not scalar(self._connection, statement("rebuild_wanted")):
                return
            self._locked = scalar(self._connection, "SELECT pg_try_advisory_lock(%s)", _LOCK)
            if not self._locked:
                return
        self._reconcile()
        rebuild = scalar(self._connection, statement("next_rebuild"))
        if rebuild is None:
            self._connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
            self._locked = False
            return
        if rebuild == self._rebuild and now < self._ended_at + _AGAIN_SECONDS:
            return
        self._rebuild = rebuild
        self._process = multiprocessing.get_context("spawn").Process(
            target=run_rebuild, args=(self._settings, rebuild, os.getpid()), name="rebuild"
        )
        self._process.start()

    def close(self) -> None:
        """Break off what is running; it is begun again by another worker, or later."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.join(_END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process = None

    def _reconcile(self) -> None:
        """Whoever holds the lock and runs nothing knows that nothing runs."""
        rows = self._connection.execute(statement("rebuilds_deserted"), {"attempts": _ATTEMPTS})
        for rebuild, state in rows.fetchall():
            logger.warning("rebuild %d was left by the process that ran it: %s", rebuild, state)
            if state != "waiting":
                self._clean_up()
        self._connection.execute(statement("rebuilds_cancelled"))

    def _clean_up(self) -> None:
        """Nobody comes after it that would."""
        with suppress(ReplayUnderWay), replay_connection(self._settings.postgres_url):
            pass
