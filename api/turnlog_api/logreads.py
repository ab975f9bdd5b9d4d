"""What the API reads of the log: heads, stream entries, ends of the index."""

import asyncio
from typing import Any, cast

from turnlog_api.redislink import RedisLink, looked_at
from turnlog_producers.errors import LogDamaged, Misconfigured, Unavailable
from turnlog_producers.head import Head
from turnlog_producers.keys import META, Keys, index_key
from turnlog_producers.meta import LogMeta, check_partitions
from turnlog_projector.log import StoredEvent


class LogReads:
    """Reads of the log in Redis. All raise `Unavailable` when it does not answer, and `LogDamaged`
    for what none of our scripts has written."""

    def __init__(self, link: RedisLink, partitions: int | None) -> None:
        self.link = link
        self._wanted = partitions
        self._meta: LogMeta | None = None

    async def meta(self) -> LogMeta:
        """Which log this Redis holds; kept once it is known, for it never changes."""
        if self._meta is None:
            value = await self.link.call("GET", META)
            if value is None:
                raise Unavailable("Redis holds no log yet: run `turnlog init`")
            self._meta = check_partitions(LogMeta.parse(value), self._wanted)
        return self._meta

    def forget_meta(self) -> None:
        """Read it anew: Redis may be another one now."""
        self._meta = None

    async def keys(self, tenant: str, session_id: str) -> Keys:
        meta = self._meta or await self.meta()
        return Keys(tenant, session_id, meta.partitions)

    async def head(self, tenant: str, session_id: str) -> Head | None:
        """The head of a session; None when the log does not know the session."""
        value = await self._raw_head(tenant, session_id)
        return None if value is None else _head(value)

    def ask_head(self, tenant: str, session_id: str) -> "asyncio.Future[Any]":
        """Ask for the head of a session meanwhile; `head_of` reads what comes of it."""
        if self._meta is None:
            asked = asyncio.ensure_future(self._raw_head(tenant, session_id))
            asked.add_done_callback(looked_at)
            return asked
        keys = Keys(tenant, session_id, self._meta.partitions)
        return self.link.ask("HGET", keys.heads, keys.field)

    async def _raw_head(self, tenant: str, session_id: str) -> Any:
        keys = await self.keys(tenant, session_id)
        return await self.link.call("HGET", keys.heads, keys.field)

    async def index_ends(self) -> list[int]:
        """The number of the newest entry in the index of each partition; 0 when it has none."""
        meta = await self.meta()
        replies = await self.link.calls(
            [("XREVRANGE", index_key(p), "+", "-", "COUNT", 1) for p in range(meta.partitions)]
        )
        return [int(reply[0][0].split(b"-")[0]) if reply else 0 for reply in replies]

    async def events(self, keys: Keys, first: int, *, count: int) -> list[StoredEvent]:
        """Stream entries from seq `first` on, at most `count`."""
        reply = await self.link.call("XRANGE", keys.stream, f"{first}-0", "+", "COUNT", count)
        return [stored(raw) for raw in reply]


async def head_of(asked: "asyncio.Future[Any]") -> Head | None:
    """The head that was asked for; None when there is none, or Redis does not answer."""
    try:
        value = await asked
        return None if value is None else _head(value)
    except (Unavailable, Misconfigured, LogDamaged):
        return None


def _head(value: Any) -> Head:
    try:
        return Head.parse(cast(bytes, value))
    except ValueError:
        raise LogDamaged("the head of the session is none that a script of ours wrote") from None


def stored(raw: list[Any]) -> StoredEvent:
    """A stream entry. Raises `LogDamaged` for one that no script of ours wrote."""
    id_, fields = raw
    try:
        # The scripts write e, i and t in this order.
        _, event, _, event_id, _, recorded_at = fields
        return StoredEvent(_seq(id_), event_id.decode(), int(recorded_at), cast(bytes, event))
    except ValueError:
        raise LogDamaged(
            f"entry {id_.decode()} of the stream is none that a script of ours wrote"
        ) from None


def _seq(entry_id: bytes) -> int:
    if not entry_id.endswith(b"-0"):
        raise ValueError
    return int(entry_id[:-2])
