"""`TurnLog`: the client for threads."""

import logging
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar, Unpack

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from turnlog_producers.connecting import OPTIONS, check_url, pause_s, where
from turnlog_producers.core import APPEND, Call, pack
from turnlog_producers.faults import TRANSPORT_ERRORS, explain, is_passing
from turnlog_producers.keys import Keys
from turnlog_producers.meta import LogMeta, ensure_meta
from turnlog_producers.options import ClientOptions, SessionOptions
from turnlog_producers.session import ChatSession
from turnlog_producers.settings import ClientSettings

T = TypeVar("T")

logger = logging.getLogger(__name__)


class TurnLog:
    """Appends turns and other events to the log in Redis. Threads may share it.

    Nothing is connected before the first append. An append returns when Redis has the event; one
    that fails on the way is sent again for `retry_s`, and never writes twice.
    """

    def __init__(self, client: Redis, **options: Unpack[ClientOptions]) -> None:
        """Use a redis-py client that you made and will close; its own timeouts and retries apply,
        too."""
        self.settings = ClientSettings(**options)
        self._client = client
        self._owns_client = False
        self._pool: Any = client.connection_pool  # redis-py's stubs leave half of it unknown
        self._where = where(client.connection_pool.connection_kwargs)
        self._meta: LogMeta | None = None

    @classmethod
    def connect(cls, url: str, *, timeout_s: float = 5.0, **options: Unpack[ClientOptions]) -> Self:
        """Use the server at `redis://`, `rediss://` (TLS) or `unix://`.

        `timeout_s` bounds one attempt to connect and the wait for one reply. Raises `Misconfigured`
        for an address that cannot be read.
        """
        client = Redis.from_url(
            check_url(url),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),  # sending again is ours, whatever the failure
            **OPTIONS,
        )
        log = cls(client, **options)
        log._owns_client = True
        return log

    def session(self, session_id: str, **options: Unpack[SessionOptions]) -> ChatSession:
        """A session to append to. Nothing is sent yet; the arguments are explained in
        `SessionOptions`."""
        return ChatSession(self, session_id, options)

    def close(self) -> None:
        """Close the connections, if they are this object's own."""
        if self._owns_client:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def log_meta(self) -> LogMeta:
        """Which log this Redis holds; a new one when it holds none. Asks Redis the first time."""
        if self._meta is None:
            partitions = self.settings.partitions
            self._meta = self._insist(lambda: ensure_meta(self._client, partitions=partitions))
        return self._meta

    def keys_of(self, tenant: str, session_id: str) -> Keys:
        """The names of a session's keys in Redis."""
        return Keys(tenant, session_id, self.log_meta().partitions)

    def send(self, call: Call) -> Any:
        """Run the append script and return its reply."""
        packed = call.packed()

        def evaluate() -> Any:
            try:
                return self._exchange(packed)
            except NoScriptError:
                self._exchange(pack("SCRIPT", "LOAD", APPEND.source))
                return self._exchange(packed)

        return self._insist(evaluate, call)

    def _exchange(self, packed: bytes) -> Any:
        """One command over a connection of the pool: what `execute_command` does, without packing
        once more and without its parsing of replies, for half the cost."""
        connection = self._pool.get_connection()
        try:
            connection.send_packed_command([packed], check_health=False)
            return connection.read_response(disable_decoding=True)
        finally:
            self._pool.release(connection)

    def _insist(self, action: Callable[[], T], call: Call | None = None) -> T:
        """Do it again while it fails for a passing reason, until `retry_s` are over."""
        give_up: float | None = None
        failures = 0
        while True:
            try:
                return action()
            except TRANSPORT_ERRORS as error:
                now = time.monotonic()
                give_up = now + self.settings.retry_s if give_up is None else give_up
                if not is_passing(error) or now >= give_up:
                    raise explain(error, self._where, call) from None
                kind = type(error).__name__
            logger.warning("Redis at %s: %s; sending the command again", self._where, kind)
            time.sleep(pause_s(failures))
            failures += 1
