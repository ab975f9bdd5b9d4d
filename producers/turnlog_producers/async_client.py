"""`AsyncTurnLog`: the client for asyncio."""

from typing import Any, Self, Unpack

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool

from turnlog_producers.connecting import OPTIONS, check_url, where
from turnlog_producers.core import Call, pack
from turnlog_producers.faults import explain
from turnlog_producers.keys import META, Keys
from turnlog_producers.lane import Lane
from turnlog_producers.meta import FIRST_HEADS, LogMeta, check_new, check_partitions, new_meta
from turnlog_producers.options import ClientOptions, SessionOptions
from turnlog_producers.session import AsyncChatSession
from turnlog_producers.settings import ClientSettings


class AsyncTurnLog:
    """Appends turns and other events to the log in Redis. The tasks of one event loop share it.

    Nothing is connected before the first append, so it may be made before the loop runs. An append
    returns when Redis has the event; one that fails on the way is sent again for `retry_s`, and
    never writes twice. What concurrent tasks append goes out together, over one connection. A task
    that is cancelled while it waits leaves open whether its event is written.
    """

    def __init__(
        self, client: Redis, *, timeout_s: float = 5.0, **options: Unpack[ClientOptions]
    ) -> None:
        """Use the settings of a redis-py client that you made and will close: a connection of our
        own is made as its pool makes them."""
        self.settings = ClientSettings(**options)
        self._pool: ConnectionPool = client.connection_pool
        self._where = where(self._pool.connection_kwargs)
        self._meta: LogMeta | None = None
        self._closed = False
        # One node for now. A cluster has a lane a node, chosen by the slot of the keys' hash tag.
        self._lane = Lane(
            self._pool.make_connection,
            self._where,
            timeout_s=timeout_s,
            retry_s=self.settings.retry_s,
        )

    @classmethod
    def connect(cls, url: str, *, timeout_s: float = 5.0, **options: Unpack[ClientOptions]) -> Self:
        """Use the server at `redis://`, `rediss://` (TLS) or `unix://`.

        `timeout_s` bounds one attempt to connect and the wait for one reply. Raises `Misconfigured`
        for an address that cannot be read.
        """
        # The lane watches over time-outs; redis-py would start a timer for each reply.
        client = Redis.from_url(
            check_url(url), socket_timeout=None, socket_connect_timeout=timeout_s, **OPTIONS
        )
        return cls(client, timeout_s=timeout_s, **options)

    def session(self, session_id: str, **options: Unpack[SessionOptions]) -> AsyncChatSession:
        """A session to append to. Nothing is sent yet; the arguments are explained in
        `SessionOptions`."""
        return AsyncChatSession(self, session_id, options)

    async def close(self) -> None:
        """Send what waits, await the replies, close the connection. What is appended after that
        raises RuntimeError."""
        self._closed = True
        await self._lane.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def log_meta(self) -> LogMeta:
        """Which log this Redis holds; a new one when it holds none. Asks Redis the first time."""
        if self._meta is None:
            value = await self._ask("GET", META)
            if value is None:
                with_sessions = await self._ask("EXISTS", *FIRST_HEADS)
                value = await self._ask("GET", META)  # another may have come first
                if value is None:
                    check_new(with_sessions)
                    wanted = new_meta(self.settings.partitions)
                    await self._ask("SET", META, wanted.format(), "NX")
                    value = await self._ask("GET", META)
            self._meta = check_partitions(LogMeta.parse(value), self.settings.partitions)
        return self._meta

    async def keys_of(self, tenant: str, session_id: str) -> Keys:
        """The names of a session's keys in Redis."""
        return Keys(tenant, session_id, (await self.log_meta()).partitions)

    async def send(self, call: Call) -> Any:
        """Run the append script and return its reply."""
        reply = await self._enqueue(call.packed())
        if isinstance(reply, Exception):
            raise explain(reply, self._where, call)
        return reply

    async def _ask(self, *words: str | bytes) -> Any:
        reply = await self._enqueue(pack(*words))
        if isinstance(reply, Exception):
            raise explain(reply, self._where)
        return reply

    def _enqueue(self, packed: bytes) -> Any:
        if self._closed:
            raise RuntimeError("this AsyncTurnLog is closed")
        return self._lane.send(packed)
