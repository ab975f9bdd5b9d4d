"""Asking Postgres: a pool of connections with the API's role, and the generation that is read."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from turnlog_api.asking import Pooled, ask, begin, end
from turnlog_api.queries import (
    MOVED,
    HasBranches,
    Query,
    TurnsPage,
    Window,
    branch_page,
    turns_page,
)
from turnlog_api.rows import Rows
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_projector.errors import NotReady, ServerUnavailable

T = TypeVar("T")
U = TypeVar("U")
Pool = AsyncConnectionPool[Pooled]

logger = logging.getLogger(__name__)

_OPTIONS = {
    "role": "turnlog_api",
    "default_transaction_read_only": "on",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "60s",
    # Every statement follows an index whose order is the answer's. The planner of a prepared
    # statement does not know how long a session is: for the average one, sorting looks as good.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
_REST_S = 0.5
"""After a failure to get a connection requests fail at once for this long."""


def with_role(url: str) -> str:
    """The address, for the role that cannot write."""
    known = str(conninfo_to_dict(url).get("options") or "")
    ours = " ".join(f"-c {name}={value}" for name, value in _OPTIONS.items())
    return make_conninfo(url, options=f"{known} {ours}".strip())


class Watch:
    """Cuts a connection whose server does not answer in time. (Cancelling the query, as psycopg
    does when its task is cancelled, waits for the very server that does not answer.)"""

    __slots__ = ("_connection", "_seconds", "_timer", "cut")

    def __init__(self, connection: Pooled, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self.cut = False

    def __enter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._cut)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        self.cut = True
        with suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as opened:
            opened.shutdown(socket.SHUT_RDWR)


class Reader:
    """Queries over a pool that reconnects by itself. All methods raise `ServerUnavailable` when
    Postgres does not answer, and `NotReady` when it holds no schema of ours."""

    answer_s = 35.0
    """Bounds the wait for an answer; Postgres itself gives up after 30 s."""

    def __init__(self, url: str, *, size: int, timeout_s: float = 2.0) -> None:
        """`timeout_s` bounds the wait for a connection."""
        self._rests_until = 0.0
        self._taken = 0
        self._generation: int | None = None
        self._size = size
        self._conninfo = with_role(url)
        self._pool: Pool = AsyncConnectionPool(
            self._conninfo,
            connection_class=Pooled,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 1,  # of a snapshot's statements; `ask` prepares by itself
                "connect_timeout": 3,
                "application_name": "turnlog api",
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
            },
            min_size=min(2, size),
            max_size=size,
            timeout=timeout_s,
            # Give up soon: the next request tries again, instead of waiting out a long back-off.
            reconnect_timeout=1.0,
            open=False,
            name="turnlog api",
        )

    async def open(self) -> None:
        """Begin to connect; does not wait for Postgres."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close(timeout=2.0)

    def pool_stats(self) -> dict[str, int]:
        """What the pool says of its connections."""
        return self._pool.get_stats()

    async def fetch(self, query: Query[T]) -> T:
        """Ask one question of the active generation."""
        generation = self._generation or await self.generation()
        while True:
            rows: Rows | None = None
            try:
                text = sql(query.name, generation, query.parts)
                rows = await self.rows(text, query.params, scope=query.scope)
            except MOVED:
                logger.info("generation %d is gone", generation)
            if rows is not None and rows.count and rows.number(0, 0) == generation:
                return query.read(rows)
            generation = await self.generation()

    async def turns(self, scope: Scope, session_id: str, window: Window) -> TurnsPage | None:
        """A page of turns, whether the session has branches or not."""
        try:
            return await self.fetch(turns_page(scope, session_id, window))
        except HasBranches:
            return await self.fetch(branch_page(scope, session_id, window))

    async def generation(self) -> int:
        """Read which generation is active, and go on with it."""
        rows: Rows | None = None
        with suppress(*MOVED):
            rows = await self.rows(sql("active", 0))
        generation = rows.number(0, 0) if rows is not None and rows.count else None
        if generation is None:
            raise NotReady("the database has no Turnlog schema: run `turnlog init`")
        self._generation = generation
        return generation

    async def rows(
        self,
        text: LiteralString,
        params: Mapping[str, Any] | None = None,
        *,
        scope: Scope | None = None,
    ) -> Rows:
        """The rows of a statement that only reads, as the reader that `scope` describes; without
        one it sees nothing that belongs to a tenant. A connection that has died meanwhile is
        replaced: after a restart of Postgres all that are in the pool have."""
        for _ in range(self._size + 1):
            connection = await self._take()
            watch = Watch(connection, self.answer_s)
            try:
                with watch:
                    return await ask(connection, text, params, scope)
            except psycopg.errors.QueryCanceled:
                raise ServerUnavailable("Postgres took too long to answer") from None
            except psycopg.OperationalError:
                if watch.cut or not connection.broken:
                    raise ServerUnavailable("Postgres cannot answer now") from None
            finally:
                await self._give_back(connection)
        self._rests_until = time.monotonic() + _REST_S
        raise ServerUnavailable("Postgres does not answer")

    @asynccontextmanager
    async def snapshot(self, scope: Scope) -> AsyncGenerator[Pooled]:
        """A connection in one REPEATABLE READ transaction: all its statements see the same rows,
        as the reader that `scope` describes."""
        connection = await self._begin(scope)
        try:
            with Watch(connection, self.answer_s):
                yield connection
        except psycopg.OperationalError:
            raise ServerUnavailable("Postgres does not answer") from None
        finally:
            if not connection.broken:
                with suppress(psycopg.Error):
                    await end(connection)
            await self._give_back(connection)

    async def _begin(self, scope: Scope) -> Pooled:
        for _ in range(self._size + 1):
            connection = await self._take()
            watch = Watch(connection, self.answer_s)
            try:
                with watch:
                    await begin(connection, scope)
                return connection
            except psycopg.OperationalError:
                await self._give_back(connection)
                if watch.cut:
                    break
        raise ServerUnavailable("Postgres does not answer")

    async def reason(self) -> str:
        """Why no connection can be had, in one line."""
        try:
            connection = await psycopg.AsyncConnection.connect(self._conninfo, connect_timeout=3)
        except psycopg.OperationalError as error:
            said = str(error).strip().splitlines()[-1]
            hint = ": run `turnlog init`" if '"turnlog_api" does not exist' in said else ""
            return f"Postgres does not answer: {said}{hint}"
        await connection.close()
        return "Postgres did not answer, and does again"

    async def _take(self) -> Pooled:
        if time.monotonic() < self._rests_until:
            raise ServerUnavailable("Postgres does not answer")
        try:
            connection = await self._pool.getconn()
        except PoolTimeout:
            if self._taken:
                raise ServerUnavailable("all connections to Postgres are busy") from None
            self._rests_until = time.monotonic() + _REST_S
            raise ServerUnavailable("Postgres does not answer") from None
        self._taken += 1
        return connection

    async def _give_back(self, connection: Pooled) -> None:
        self._taken -= 1
        await self._pool.putconn(connection)


async def both(first: Awaitable[T], second: Awaitable[U]) -> tuple[T, U]:
    """Await two things at once; a failure of either is raised when both have ended, so that no
    connection is left in the middle of an answer."""
    one, other = asyncio.ensure_future(first), asyncio.ensure_future(second)
    await asyncio.wait([one, other])
    return one.result(), other.result()
