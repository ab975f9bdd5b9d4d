"""Writing once: an Idempotency-Key makes the event id, and the log holds each event id once."""

from binascii import unhexlify
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from turnlog_api.auth import Caller
from turnlog_api.logreads import LogReads
from turnlog_api.problems import Problem
from turnlog_api.reading import Reader
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_producers.head import Head
from turnlog_producers.keys import claim_key
from turnlog_schemas.ids import derived_id, new_id, partition_of
from turnlog_schemas.stubs import is_stub

CLAIM_S = 7 * 24 * 3600
"""So long a key that was used to begin a session is known not to begin another one."""


class Draft(NamedTuple):
    """An event that a request wants to write. `at` is None unless the request named it."""

    session_id: str
    event_id: str
    type: str
    data: dict[str, Any]
    at: str | None = None
    actor: dict[str, Any] | None = None
    trace: dict[str, Any] | None = None


def event_id_for(caller: Caller, method: str, path: str, key: str | None) -> str:
    """The id of the event that the request writes: a new one without a key."""
    if key is None:
        return new_id()
    who = (caller.tenant, caller.subject, caller.user_id or "")
    return derived_id("http", *who, method, path, key)


def key_reused(**more: Any) -> Problem:
    """The key stands for another request."""
    return Problem(
        "key-reused",
        "Idempotency-Key: was used for another body; choose a new key for a new request",
        **more,
    )


class Claims:
    """Which session a key begins. The log knows an event within its session only; the body of a
    request that begins one may name another session each time."""

    def __init__(self, log: LogReads) -> None:
        self._log = log

    async def claim(self, tenant: str, draft: Draft) -> None:
        """Refuse a key that was used to begin another session, in the last days."""
        name = await self._name(tenant, draft)
        [_, claimed] = await self._log.link.calls(
            [("SET", name, draft.session_id, "NX", "EX", CLAIM_S), ("GET", name)]
        )
        if claimed != draft.session_id.encode():
            raise key_reused()

    async def release(self, tenant: str, draft: Draft) -> None:
        """Nothing was written: the key may be used for another session."""
        await self._log.link.call("DEL", await self._name(tenant, draft))

    async def _name(self, tenant: str, draft: Draft) -> str:
        meta = await self._log.meta()
        return claim_key(tenant, draft.event_id, meta.partitions)


class StoredEvents:
    """Finds events that were written before, in the stream or in the archive."""

    def __init__(self, log: LogReads, reader: Reader) -> None:
        self._log = log
        self._reader = reader

    async def seq_of(self, tenant: str, draft: Draft, head: Head | None) -> int | None:
        """The seq of the event if only the archive can still know it; None leaves it to the append
        script, which knows the ids of all events that are in the stream."""
        if head is None or head.base == 0:
            return None
        found = await self._archived(tenant, draft.session_id, event_id=draft.event_id)
        return None if found is None else found[0]

    async def check_same(self, tenant: str, draft: Draft, seq: int) -> None:
        """Refuse a key that was used with another body."""
        raw = await self._stored(tenant, draft.session_id, seq)
        if raw is None:
            return
        stored: dict[str, Any] = from_json(raw)
        if is_stub(stored):  # it was erased since, and nobody knows what it held
            return
        ours = from_json(to_json(draft.data))
        same = stored["type"] == draft.type and stored["data"] == ours
        if draft.at is not None:
            same = same and stored["at"] == draft.at
        if draft.trace is not None:  # else the event may hold the trace of the first request
            same = same and stored.get("trace") == draft.trace
        if not same:
            raise key_reused(seq=seq)

    async def _stored(self, tenant: str, session_id: str, seq: int) -> bytes | None:
        keys = await self._log.keys(tenant, session_id)
        events = await self._log.events(keys, seq, count=1)
        if events and events[0].seq == seq:
            return events[0].raw
        found = await self._archived(tenant, session_id, seq=seq)
        return None if found is None else found[1]

    async def _archived(
        self, tenant: str, session_id: str, **by: str | int
    ) -> tuple[int, bytes] | None:
        meta = await self._log.meta()
        partition = partition_of(tenant, session_id, meta.partitions)
        rows = await self._reader.rows(
            sql("archived_event", 0, frozenset(by)),
            {"partition": partition, "tenant": tenant, "session_id": session_id, **by},
            scope=Scope(tenant, only_session=session_id),
        )
        seq, raw = (rows.number(0, 0), rows.raw(0, 1)) if rows.count else (None, None)
        if seq is None or raw is None:
            return None
        return seq, unhexlify(raw.removeprefix(b"\\x"))
