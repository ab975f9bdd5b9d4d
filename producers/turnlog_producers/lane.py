"""One connection to one Redis node, shared by all tasks of an event loop.

What concurrent tasks send goes out in micro-batches: while one is on its way the next gathers.
Replies come back in the order of the commands, so each finds its caller; commands that were sent
and not answered when a connection breaks are sent again first, in their order, over a new one. A
command must therefore be safe to repeat.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from turnlog_producers.connecting import pause_s
from turnlog_producers.core import APPEND, pack
from turnlog_producers.faults import TRANSPORT_ERRORS, is_passing

_BATCH_BYTES = 1024 * 1024

logger = logging.getLogger(__name__)

_Waiting = tuple[bytes, "asyncio.Future[Any]"]


class Lane:
    """Sends packed commands, in order, and hands each its reply.

    `timeout_s` bounds connecting and the silence between two replies. After a failure the lane
    connects and sends again for `retry_s`, then answers every command that waits with the error.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractConnection],
        where: str,
        *,
        timeout_s: float,
        retry_s: float,
    ) -> None:
        self._connect = connect
        self._where = where
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reset()

    def _reset(self) -> None:
        self._queue: deque[_Waiting] = deque()
        self._sent: deque[_Waiting] = deque()
        self._to_send = asyncio.Event()
        self._to_read = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._silent_since = 0.0
        self._answered = False

    def send(self, packed: bytes) -> "asyncio.Future[Any]":
        """Queue a command. The future's result is the reply, or the exception that came instead of
        one (as a result, so that nobody has to look at it). Cancelling the future gives it up."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # The loop that the former connection lived in is gone, and its tasks with it.
            self._loop = loop
            self._reset()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.append((packed, future))
        self._to_send.set()
        if self._task is None:
            self._task = loop.create_task(self._run(), name=f"turnlog lane to {self._where}")
        return future

    async def close(self) -> None:
        """Send what waits, await the replies, and close the connection."""
        if self._loop is not asyncio.get_running_loop():
            return
        waiting = [future for _, future in (*self._sent, *self._queue) if not future.done()]
        if waiting:
            await asyncio.wait(waiting)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        """Until there is nothing to do and no connection to do it over."""
        failing_since: float | None = None
        failures = 0
        try:
            while True:
                self._answered = False
                error = await self._serve()
                self._take_back()
                if not self._queue:
                    return
                if failing_since is None or self._answered:
                    failing_since, failures = self._now(), 0
                if not is_passing(error) or self._now() - failing_since >= self._retry_s:
                    self._answer_all(error)
                    return
                logger.warning(
                    "Redis at %s: %s; commands waiting to be sent again: %d",
                    self._where,
                    type(error).__name__,
                    len(self._queue),
                )
                await asyncio.sleep(pause_s(failures))
                failures += 1
        except Exception as error:
            self._take_back()
            self._answer_all(error)
            raise
        finally:
            self._task = None

    async def _serve(self) -> Exception:
        """Connect, send and read until something fails; that is what it returns."""
        connection = self._connect()
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.connect()
                # From here on EVALSHA finds the script, whatever this server has forgotten.
                await connection.send_packed_command([pack("SCRIPT", "LOAD", APPEND.source)])
                await connection.read_response()
            return await self._exchange(connection)
        except (*TRANSPORT_ERRORS, TimeoutError) as error:
            return error
        finally:
            await connection.disconnect(nowait=True)

    async def _exchange(self, connection: AbstractConnection) -> Exception:
        tasks = [
            asyncio.create_task(self._send_all(connection)),
            asyncio.create_task(self._read_all(connection)),
        ]
        try:
            while True:
                silent_s = self._now() - self._silent_since if self._sent else 0.0
                if silent_s >= self._timeout_s:
                    return TimeoutError()
                done, _ = await asyncio.wait(
                    tasks,
                    timeout=self._timeout_s - silent_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if done:
                    # Each ends only by an exception; `result` raises what is no transport error.
                    return done.pop().result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_all(self, connection: AbstractConnection) -> Exception:
        queue, sent = self._queue, self._sent
        try:
            while True:
                while not queue:
                    self._to_send.clear()
                    await self._to_send.wait()
                batch: list[bytes] = []
                size = 0
                if not sent:
                    self._silent_since = self._now()
                while queue and size < _BATCH_BYTES:
                    waiting = queue.popleft()
                    if waiting[1].done():
                        continue  # given up before it was sent
                    sent.append(waiting)
                    batch.append(waiting[0])
                    size += len(waiting[0])
                if batch:
                    self._to_read.set()
                    await connection.send_packed_command(batch, check_health=False)
        except TRANSPORT_ERRORS as error:
            return error

    async def _read_all(self, connection: AbstractConnection) -> Exception:
        sent = self._sent
        reply: Any
        try:
            while True:
                while not sent:
                    self._to_read.clear()
                    await self._to_read.wait()
                try:
                    # A connection that closed itself here would be opened anew by the next send,
                    # ahead of what has to be sent again first.
                    reply = await connection.read_response(  # pyright: ignore[reportUnknownVariableType]
                        disable_decoding=True, disconnect_on_error=False
                    )
                except ResponseError as error:
                    if is_passing(error):
                        # All commands will meet the same; a new start keeps them in order.
                        return error
                    reply = error
                self._answered = True
                self._silent_since = self._now()
                future = sent.popleft()[1]
                if not future.done():
                    future.set_result(reply)
        except TRANSPORT_ERRORS as error:
            return error

    def _take_back(self) -> None:
        """What was sent and not answered is to be sent first, in its order."""
        self._queue.extendleft(reversed(self._sent))
        self._sent.clear()

    def _answer_all(self, error: Exception) -> None:
        queue, self._queue = self._queue, deque()
        for _, future in queue:
            if not future.done():
                future.set_result(error)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
