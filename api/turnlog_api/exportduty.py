"""Looking after exports: every API process looks for those that wait, has a process of its own run
them, and removes what has expired. Which API process does it does not matter; any number may."""

import asyncio
import logging
import os
import time
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import psycopg

from turnlog_api.exportjobs import Exports
from turnlog_api.exportwork import WorkSettings, work
from turnlog_projector.errors import NotReady, ServerUnavailable

_LOOK_S = 2.0
_END_S = 5.0
_MOST_PROCESSES = 2
_START_S = 3.0
"""So long a process may take to begin; until then what waits may be what it begins with."""

_spawn = get_context("spawn")

logger = logging.getLogger(__name__)


class ExportDuty:
    """The task that does it, and the processes that it has started."""

    def __init__(self, exports: Exports, settings: WorkSettings) -> None:
        self._exports = exports
        self._settings = settings
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._processes: list[BaseProcess] = []
        self._started_at = -_START_S

    def open(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look_after(), name="turnlog exports")

    def nudge(self) -> None:
        """There is something new: look at once."""
        self._nudged.set()

    async def close(self) -> None:
        """End the processes: what they had under way waits for another API process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await asyncio.to_thread(self._end_processes)

    async def _look_after(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._nudged.wait()
            self._nudged.clear()
            # Errors of servers: the next look tries again.
            with suppress(ServerUnavailable, NotReady, psycopg.Error):
                await self._look()

    async def _look(self) -> None:
        self._forget_ended()
        wanted, stale = await self._exports.due()
        if stale:
            await self._exports.sweep()
        now = time.monotonic()
        due = not self._processes or now >= self._started_at + _START_S
        if wanted and due and len(self._processes) < _MOST_PROCESSES:
            self._started_at = now
            process = _spawn.Process(
                target=work, args=(self._settings, os.getpid()), name="turnlog export", daemon=True
            )
            await asyncio.to_thread(process.start)
            self._processes.append(process)

    def _forget_ended(self) -> None:
        for process in [each for each in self._processes if not each.is_alive()]:
            if process.exitcode:
                logger.warning("a process that exports ended with %s", process.exitcode)
            process.close()
            self._processes.remove(process)

    def _end_processes(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(_END_S)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._processes.clear()
