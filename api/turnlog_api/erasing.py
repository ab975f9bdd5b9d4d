"""Erasing by request: a session, or all that belongs to a user.

A request appends the erasing events; a projector does what they say. An answer promises that
nothing is accepted any more, and that the text goes, not that it has gone.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg.types.numeric import Int8

from turnlog_api.auth import Caller
from turnlog_api.logreads import LogReads
from turnlog_api.queries import Query
from turnlog_api.reading import Reader
from turnlog_api.rows import Rows
from turnlog_api.scope import Scope
from turnlog_producers import AsyncTurnLog
from turnlog_producers.errors import SessionErased
from turnlog_producers.head import Head
from turnlog_producers.keys import heads_key
from turnlog_schemas.errors import TurnlogError

_SCANNED_AT_ONCE = 1000
_ERASED_AT_ONCE = 200
_ROUNDS = 5
"""So often sessions are looked for that were begun meanwhile."""


class UserErasure(NamedTuple):
    """What erasing a user has done."""

    user_id: str
    erased: int
    """Sessions that got their tombstone now."""
    failed: list[dict[str, str]]
    """Sessions that did not, and why: {"session_id", "detail"}. Ask again."""


class UserEraser:
    """Erases the sessions of users."""

    def __init__(self, log: LogReads, reader: Reader, turnlog: AsyncTurnLog) -> None:
        self._log = log
        self._reader = reader
        self._turnlog = turnlog

    async def erase(self, caller: Caller, user_id: str) -> UserErasure:
        """Erase every session of a user of the tenant, those that are not projected yet and those
        that are deleted included. Raises `Unavailable` when Redis does not answer, and
        `ServerUnavailable` when Postgres does not: without either some might be overlooked."""
        seen: set[str] = set()
        erased = 0
        failed: list[dict[str, str]] = []
        for _ in range(_ROUNDS):
            found = await self._in_redis(caller.tenant, user_id)
            found |= await self._in_postgres(caller.tenant, user_id)
            wanted = sorted(found - seen)
            if not wanted:
                break
            seen |= found
            for start in range(0, len(wanted), _ERASED_AT_ONCE):
                some = wanted[start : start + _ERASED_AT_ONCE]
                outcomes = await asyncio.gather(*(self._append(caller, name) for name in some))
                erased += outcomes.count(True)
                failed += [
                    {"session_id": name, "detail": str(outcome)}
                    for name, outcome in zip(some, outcomes, strict=True)
                    if not isinstance(outcome, bool)
                ]
        return UserErasure(user_id, erased, failed)

    async def _in_redis(self, tenant: str, user_id: str) -> set[str]:
        found: set[str] = set()
        prefix = f"{tenant}:".encode()
        for partition in range((await self._log.meta()).partitions):
            cursor = b"0"
            while True:
                cursor, pairs = await self._log.link.call(
                    "HSCAN", heads_key(partition), cursor, "COUNT", _SCANNED_AT_ONCE
                )
                found |= owned(pairs, prefix, user_id)
                if cursor == b"0":
                    break
        return found

    async def _in_postgres(self, tenant: str, user_id: str) -> set[str]:
        found: set[str] = set()
        after = ""
        while True:
            some = await self._reader.fetch(_sessions_of(tenant, user_id, after))
            found.update(some)
            if len(some) < _SCANNED_AT_ONCE:
                return found
            after = some[-1]

    async def _append(self, caller: Caller, session_id: str) -> bool | TurnlogError:
        """Whether the session got its tombstone now; False when it had one, or why it has none."""
        chat = self._turnlog.session(
            session_id, tenant=caller.tenant, actor=caller.actor() or {"kind": "service"}
        )
        try:
            await chat.erase()
        except SessionErased:
            return False
        except TurnlogError as error:
            return error
        return True


def owned(pairs: Sequence[bytes], prefix: bytes, user_id: str) -> set[str]:
    """The sessions among heads (field, value, field, value, …) that belong to a user."""
    found: set[str] = set()
    wanted = f" {user_id}".encode()
    for field, value in zip(pairs[::2], pairs[1::2], strict=True):
        if field.startswith(prefix) and value.endswith(wanted):
            head = Head.parse(value)
            if head.owner == user_id and not head.erased:
                found.add(field.removeprefix(prefix).decode())
    return found


def _sessions_of(tenant: str, user_id: str, after: str) -> Query[list[str]]:
    def read(rows: Rows) -> list[str]:
        names = (rows.text(number, 1) for number in range(rows.count))
        return [name for name in names if name is not None]

    params: dict[str, Any] = {
        "tenant": tenant,
        "owner": user_id,
        "after": after,
        "limit": Int8(_SCANNED_AT_ONCE),
    }
    return Query("sessions_of_user", frozenset(), params, read, Scope(tenant))
