"""Appending to the log with nothing but the script: for tests of what reads the log."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import redis
from pydantic_core import to_json
from redis.exceptions import NoScriptError

from turnlog_producers.keys import Keys
from turnlog_producers.scripts import load_script
from turnlog_schemas import ids, times
from turnlog_schemas.codec import encode

MARKS = {"session.started": "s", "session.erased": "e"}


class NewEvent(NamedTuple):
    """An event that is ready to be sent."""

    event_id: str
    mark: str
    raw: bytes


class Reply(NamedTuple):
    """What the append script answers."""

    recorded_at: int
    seq: int
    """Of the session's last event now."""
    seqs: list[int]
    """Of each event sent."""
    repeats: list[int]


def event(
    type_: str,
    data: dict[str, Any] | None = None,
    *,
    event_id: str | None = None,
    at: str | None = None,
    actor: dict[str, Any] | None = None,
) -> NewEvent:
    """A valid event of a known type."""
    event_id = event_id or ids.new_id()
    raw = encode(type_, data or {}, event_id=event_id, at=at or times.now(), actor=actor)
    return NewEvent(event_id, MARKS.get(type_, ""), raw)


def turn(
    turn_id: str, content: Any = "Hi", *, event_id: str | None = None, **data: Any
) -> NewEvent:
    """A whole turn, of the user unless said otherwise."""
    data = {"turn_id": turn_id, "role": "user", "content": content, **data}
    return event("turn.appended", data, event_id=event_id)


def foreign(type_: str, data: dict[str, Any], *, version: int = 1) -> NewEvent:
    """An event of a type that this release does not know."""
    event_id = ids.new_id()
    envelope = {"event_id": event_id, "type": type_, "version": version, "at": times.now()}
    return NewEvent(event_id, "", to_json({**envelope, "data": data}))


def poison(raw: bytes = b'{"no json') -> NewEvent:
    """Bytes that no release can read."""
    return NewEvent(ids.new_id(), "", raw)


class Writer:
    """Appends over one connection, which does not retry by itself."""

    def __init__(self, client: redis.Redis, *, partitions: int, tenant: str = "default") -> None:
        self.client = client
        self.partitions = partitions
        self.tenant = tenant
        script = load_script("append")
        self._sha = script.sha
        client.script_load(script.source)

    def keys(self, session_id: str) -> Keys:
        """The keys of a session of this tenant."""
        return Keys(self.tenant, session_id, self.partitions)

    def newest_index_id(self, session_id: str) -> bytes:
        """The ID of the newest index entry of a session's partition."""
        entries = cast(
            list[tuple[bytes, Any]], self.client.xrevrange(self.keys(session_id).index, count=1)
        )
        return entries[0][0]

    def append(self, session_id: str, *events: NewEvent, owner: str = "") -> Reply:
        """All of the events, or none. Raises redis-py's errors."""
        keys, args = self.call(session_id, events, owner=owner)
        try:
            reply = self.client.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            reply = self.client.eval(load_script("append").source, len(keys), *keys, *args)
        return Reply(*cast(list[Any], reply))

    def call(
        self, session_id: str, events: Sequence[NewEvent], *, owner: str = ""
    ) -> tuple[list[str], list[Any]]:
        """The script's KEYS and ARGV."""
        keys = self.keys(session_id)
        args: list[Any] = [keys.field, keys.partition, "", "", owner, "", ""]
        for each in events:
            args += each
        return [keys.heads, keys.index, keys.stream, keys.ids], args
