"""What the tests of both clients share: one way to call them, and a look at what Redis holds."""

import inspect
import json
from typing import Any, NamedTuple

import redis

from turnlog_producers import AsyncChatSession, AsyncTurnLog, ChatSession, TurnLog
from turnlog_producers.head import Head
from turnlog_producers.keys import Keys


class Entry(NamedTuple):
    """A stream entry."""

    id: str
    event: dict[str, Any]
    event_id: str
    recorded_at: int


class Bench:
    """One of the clients of tenant acme, on a log of 8 partitions, and its server."""

    def __init__(self, log: TurnLog | AsyncTurnLog, server: "redis.Redis") -> None:
        self.log = log
        self.server: Any = server

    def session(self, session_id: str = "s-1", **options: Any) -> Any:
        """A session whose methods are awaited with `settled`."""
        made: ChatSession | AsyncChatSession = self.log.session(session_id, **options)
        return made

    def keys(self, session_id: str = "s-1") -> Keys:
        return Keys("acme", session_id, 8)

    def entries(self, session_id: str = "s-1") -> list[Entry]:
        """The session's stream."""
        found: list[Entry] = []
        for id_, fields in self.server.xrange(self.keys(session_id).stream):
            assert list(fields) == [b"e", b"i", b"t"]
            event = json.loads(fields[b"e"])
            found.append(Entry(id_.decode(), event, fields[b"i"].decode(), int(fields[b"t"])))
        return found

    def events(self, session_id: str = "s-1") -> list[dict[str, Any]]:
        """The session's events, as they are stored."""
        return [entry.event for entry in self.entries(session_id)]

    def types(self, session_id: str = "s-1") -> list[str]:
        return [event["type"] for event in self.events(session_id)]

    def head(self, session_id: str = "s-1") -> Head | None:
        keys = self.keys(session_id)
        value = self.server.hget(keys.heads, keys.field)
        return None if value is None else Head.parse(value)

    def index(self, session_id: str = "s-1") -> list[tuple[str, dict[str, str]]]:
        """The index of the session's partition."""
        return [
            (id_.decode(), {name.decode(): value.decode() for name, value in fields.items()})
            for id_, fields in self.server.xrange(self.keys(session_id).index)
        ]

    async def close(self) -> None:
        await settled(self.log.close())
        self.server.close()


async def settled(result: Any) -> Any:
    """The result of a call, whichever client made it."""
    return await result if inspect.isawaitable(result) else result
