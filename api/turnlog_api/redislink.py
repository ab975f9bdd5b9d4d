"""One connection to Redis for what all requests ask of it, appends aside.

What concurrent requests ask goes out together and is answered together, so a read costs a fraction
of a round trip. Redis may be down: then a call fails at once, or after `timeout_s` the first time.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError, ResponseError

from turnlog_producers.connecting import where
from turnlog_producers.core import pack
from turnlog_producers.errors import Unavailable
from turnlog_producers.faults import explain

Command = tuple[str | bytes | int, ...]
_Pending = tuple[Command, "asyncio.Future[Any]"]

_REST_S = 0.25
"""After a failure calls fail at once for this long: a hanging Redis must not slow every read."""


class RedisLink:
    """Commands that may be sent twice, batched over one connection. Replies are as Redis sends
    them."""

    def __init__(self, url: str, *, timeout_s: float = 2.0) -> None:
        self._pool = ConnectionPool.from_url(
            url,
            decode_responses=False,
            socket_connect_timeout=timeout_s,
            socket_timeout=None,  # each exchange is bounded as a whole
            socket_keepalive=True,
            protocol=2,
            retry=None,
        )
        self._where = where(self._pool.connection_kwargs)
        self._timeout_s = timeout_s
        self._connection: AbstractConnection | None = None
        self._pending: list[_Pending] = []
        self._sender: asyncio.Task[None] | None = None
        self._rests_until = 0.0

    def ask(self, *command: str | bytes | int) -> "asyncio.Future[Any]":
        """Send a command soon, together with what others ask; the future holds the reply. Nobody
        needs to await it."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(looked_at)
        if time.monotonic() < self._rests_until:
            future.set_exception(Unavailable("Redis does not answer"))
            return future
        self._pending.append((command, future))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send(), name="turnlog redis link")
        return future

    async def call(self, *command: str | bytes | int) -> Any:
        """The reply to one command. Raises `Unavailable`, and `Misconfigured` where waiting does
        not help: Redis refuses the password, or holds other data under a key of ours."""
        return await self.ask(*command)

    async def calls(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to several commands, sent together."""
        return [await future for future in [self.ask(*command) for command in commands]]

    async def close(self) -> None:
        """Close the connection; calls that wait fail."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])
        self._fail(self._pending)
        await self._drop()

    async def _send(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            try:
                await self._exchange(batch)
            except asyncio.CancelledError:
                self._fail(batch)
                await self._drop()
                raise

    async def _exchange(self, batch: list[_Pending]) -> None:
        fresh = self._connection is None
        while True:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._try(batch)
                return
            except (RedisError, OSError, TimeoutError):
                await self._drop()
                batch = [entry for entry in batch if not entry[1].done()]
                if fresh:
                    self._rests_until = time.monotonic() + _REST_S
                    self._fail(batch)
                    return
                fresh = True  # the connection was an old one: Redis may have been restarted

    async def _try(self, batch: list[_Pending]) -> None:
        if self._connection is None:
            self._connection = self._pool.make_connection()
            await self._connection.connect()
        connection = self._connection
        packed = b"".join([pack(*command) for command, _ in batch])
        await connection.send_packed_command([packed], check_health=False)
        for _, future in batch:
            reply: Any
            try:
                reply = await connection.read_response()  # pyright: ignore[reportUnknownVariableType]
            except ResponseError as error:
                reply = error
            if future.done():  # its request was cancelled, or had its answer before a retry
                continue
            if isinstance(reply, ResponseError):
                future.set_exception(explain(reply, self._where))
            else:
                future.set_result(reply)

    def _fail(self, batch: list[_Pending]) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(Unavailable("Redis does not answer"))

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


def looked_at(future: "asyncio.Future[Any]") -> None:
    """Nobody needs to await the future: that it failed is no news then."""
    if not future.cancelled():
        future.exception()
