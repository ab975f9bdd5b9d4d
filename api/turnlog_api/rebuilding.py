"""Asking for rebuilds. The API cannot write read models: it writes down what is wanted, and a
projector does it."""

from contextlib import suppress
from hashlib import blake2b
from typing import Any, LiteralString

import psycopg
from psycopg.rows import TupleRow
from pydantic_core import to_json

from turnlog_api.auth import Caller
from turnlog_api.idempotency import key_reused
from turnlog_api.problems import Problem
from turnlog_api.reading import Reader, with_role
from turnlog_api.statements import sql
from turnlog_projector.errors import ServerUnavailable
from turnlog_projector.rebuild_jobs import RebuildOptions

_CONNECT_TIMEOUT_S = 3
_LARGEST_ID = 2**63 - 1


class Rebuilds:
    """Requests for rebuilds, and what became of them. The methods raise `ServerUnavailable` when
    Postgres does not answer."""

    def __init__(self, postgres_url: str, reader: Reader) -> None:
        self._conninfo = with_role(postgres_url)
        self._reader = reader

    async def ask(
        self, caller: Caller, options: RebuildOptions, key: str | None
    ) -> tuple[int, bool]:
        """Write a request down; its number, and whether it is new. The same key asks for the same
        rebuild. Raises a 409 `Problem` while another one waits or runs."""
        given = to_json(options._asdict()).decode()
        who = caller.subject or caller.user_id or ""
        params = {"key": _request_key(caller, key), "requested_by": who, "options": given}
        while True:
            row = await self._write(sql("put_rebuild", 0), params)
            made, known, known_options, under_way = row or (None, None, None, None)
            if made is not None:
                return made, True
            if known is not None:
                if known_options != given:
                    raise key_reused(rebuild_id=known)
                return known, False
            if under_way is not None:
                raise Problem(
                    "rebuild-under-way",
                    f"rebuild {under_way} is not done: wait for it, or cancel it",
                    rebuild_id=under_way,
                )

    async def cancel(self, caller: Caller, rebuild: int) -> None:
        """Ask for one to be broken off. Nothing happens to one that has ended."""
        params = {"rebuild": rebuild, "tenant": caller.tenant}
        await self._write(sql("cancel_rebuild", 0), params)

    async def one(self, caller: Caller, rebuild: int) -> bytes:
        """One as JSON. Raises a 404 `Problem`."""
        params = {"rebuild": rebuild, "tenant": caller.tenant}
        rows = await self._reader.rows(sql("rebuild", 0), params)
        found = rows.raw(0, 0) if rows.count else None
        if found is None:
            raise Problem("not-found", "there is no such rebuild")
        return found

    async def page(
        self, caller: Caller, before: int | None, limit: int
    ) -> tuple[bytes, int | None]:
        """Some, the newest first, as JSON without brackets, and the number of the last one when
        more follow."""
        params = {
            "before": before if before is not None else _LARGEST_ID,
            "limit": limit + 1,
            "tenant": caller.tenant,
        }
        rows = await self._reader.rows(sql("rebuilds_page", 0), params)
        last = rows.number(limit - 1, 0) if rows.count > limit else None
        return rows.joined(1, limit=limit), last

    async def _write(self, text: LiteralString, params: dict[str, Any]) -> TupleRow | None:
        """One statement over a connection of its own: this happens a few times a day."""
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._conninfo, connect_timeout=_CONNECT_TIMEOUT_S, application_name="turnlog api"
            )
        except psycopg.OperationalError:
            raise ServerUnavailable("Postgres does not answer") from None
        try:
            await connection.set_read_only(False)
            async with connection.transaction():
                return await (await connection.execute(text, params)).fetchone()
        except psycopg.OperationalError:
            raise ServerUnavailable("Postgres does not answer") from None
        finally:
            with suppress(psycopg.Error):
                await connection.close()


def _request_key(caller: Caller, key: str | None) -> str | None:
    if key is None:
        return None
    who = "\n".join((caller.tenant, caller.subject, caller.user_id or "", key))
    return blake2b(who.encode(), digest_size=16).hexdigest()
