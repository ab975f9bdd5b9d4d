"""Exports as jobs: asked for, listed, removed, and their files read. The rows and files are the
API's own: no projector knows of them. Processes of their own do the work (exportduty.py)."""

from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, LiteralString, NamedTuple

import psycopg
import zstandard
from psycopg.rows import TupleRow

from turnlog_api.auth import Caller
from turnlog_api.exporting import Chosen, ExportOptions, file_name
from turnlog_api.exportwork import PART_BYTES, read_options, write_options
from turnlog_api.idempotency import key_reused
from turnlog_api.problems import Problem
from turnlog_api.reading import Reader, with_role
from turnlog_api.rows import Rows
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_projector.errors import ServerUnavailable
from turnlog_schemas.ids import new_id

MOST_KEPT = 50
"""Exports of one reader that are not expired, done ones included."""

_CONNECT_TIMEOUT_S = 3
_BEHIND_ALL_IDS = "~"


class ExportFile(NamedTuple):
    """A file that is ready."""

    export_id: str
    attempt: int
    """Which parts are its own."""
    format: str
    name: str
    bytes: int
    tag: str
    """Of its content, for ETag."""


class Exports:
    """The exports of each reader. The methods raise `ServerUnavailable` when Postgres does not
    answer."""

    def __init__(self, postgres_url: str, reader: Reader, *, most_under_way: int) -> None:
        self._conninfo = with_role(postgres_url)
        self._reader = reader
        self._most_under_way = most_under_way

    async def ask(
        self, caller: Caller, chosen: Chosen, options: ExportOptions, key: str | None
    ) -> tuple[str, bool]:
        """Write a request down; its id, and whether it is new. The same key asks for the same
        export. Raises a 429 `Problem` when the reader has too many."""
        given = write_options(chosen, options)
        params = {
            "export_id": new_id(),
            "tenant": caller.tenant,
            "owner": caller.user_id,
            "requested_by": caller.subject or caller.user_id or "",
            "key": _request_key(caller, key),
            "options": given,
            "format": options.format,
            "most_under_way": self._most_under_way,
            "most_kept": MOST_KEPT,
        }
        row = await self.write(["export_lock", "export_put"], params, scope=caller.scope)
        made, known, known_options, under_way, kept = row or (None, None, None, 0, 0)
        if known is not None and made is None:
            if known_options != given:
                raise key_reused(export_id=known)
            return known, False
        if made is None:
            raise _too_many(under_way, self._most_under_way, kept)
        return made, True

    async def one(self, caller: Caller, export_id: str) -> bytes:
        """One as JSON. Raises a 404 `Problem`."""
        found = (await self._rows("export_one", caller.scope, export_id=export_id)).first
        if found is None:
            raise no_export()
        return found

    async def page(
        self, caller: Caller, before: str | None, limit: int
    ) -> tuple[bytes, str | None]:
        """Some, the newest first, as JSON without brackets, and the id of the last one when more
        follow."""
        rows = (
            await self._rows(
                "exports_page", caller.scope, before=before or _BEHIND_ALL_IDS, limit=limit + 1
            )
        ).rows
        last = rows.text(limit - 1, 0) if rows.count > limit else None
        return rows.joined(1, limit=limit), last

    async def remove(self, caller: Caller, export_id: str) -> None:
        """Remove an export with its file; whoever runs it stops. Raises a 404 `Problem`."""
        params = _params(caller.scope, export_id=export_id)
        if await self.write(["export_remove"], params, scope=caller.scope) is None:
            raise no_export()

    async def file(self, caller: Caller, export_id: str) -> ExportFile:
        """The file of an export. Raises a 404 `Problem`, 409 when there is none yet, 410 when it is
        gone."""
        found = await self._rows("export_file", caller.scope, export_id=export_id)
        rows = found.rows
        if not rows.count:
            raise no_export()
        state = rows.text(0, 0)
        if state == "expired":
            raise Problem("export-expired", "the file was removed: ask for a new export")
        if state != "done":
            raise Problem(
                "export-not-done",
                f"the export is {state}: see /v1/exports/{export_id}",
                state=state,
            )
        _, options = read_options(rows.text(0, 5) or "{}")
        attempt = rows.number(0, 3) or 0
        return ExportFile(
            export_id,
            attempt,
            rows.text(0, 1) or "",
            file_name(options, f"export-{export_id}"),
            rows.number(0, 2) or 0,
            f"{export_id}.{attempt}",
        )

    async def part(self, caller: Caller, file: ExportFile, number: int) -> bytes | None:
        """A part of a file; None when it is gone."""
        params = {"export_id": file.export_id, "attempt": file.attempt, "part": number}
        found = (await self._rows("export_part", caller.scope, **params)).first
        if found is None:
            return None
        packed = bytes.fromhex(found[2:].decode("ascii"))
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=PART_BYTES)

    async def due(self) -> tuple[bool, bool]:
        """Whether an export waits for somebody to run it, and whether some are to be swept."""
        rows = await self._reader.rows(sql("export_due", 0))
        return rows.raw(0, 0) == b"t", rows.raw(0, 1) == b"t"

    async def sweep(self) -> None:
        """Remove files that have expired, or hold what was erased since, and old rows."""
        await self.write(["export_sweep"], {})

    async def write(
        self, names: Sequence[str], params: dict[str, Any], *, scope: Scope | None = None
    ) -> TupleRow | None:
        """Statements in one transaction over a connection of its own; the first row of the last."""
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._conninfo, connect_timeout=_CONNECT_TIMEOUT_S, application_name="turnlog api"
            )
        except psycopg.OperationalError:
            raise ServerUnavailable("Postgres does not answer") from None
        try:
            await connection.set_read_only(False)
            async with connection.transaction():
                if scope is not None:
                    await connection.execute(sql("read_as", 0), scope.settings())
                row: TupleRow | None = None
                for name in names:
                    text = sql(name, 0, _parts(scope))
                    row = await (await connection.execute(text, params)).fetchone()
                return row
        except psycopg.OperationalError:
            raise ServerUnavailable("Postgres does not answer") from None
        finally:
            with suppress(psycopg.Error):
                await connection.close()

    async def _rows(self, name: str, scope: Scope, **params: Any) -> "_Found":
        text: LiteralString = sql(name, 0, _parts(scope))
        return _Found(await self._reader.rows(text, _params(scope, **params), scope=scope))


class _Found(NamedTuple):
    rows: Rows

    @property
    def first(self) -> bytes | None:
        return self.rows.raw(0, 0) if self.rows.count else None


def no_export() -> Problem:
    """None there, or one that is not the caller's: the same from outside."""
    return Problem("not-found", "there is no such export, or it is not yours to see")


def _too_many(under_way: int, most: int, kept: int) -> Problem:
    if under_way >= most:
        return Problem(
            "too-many-exports",
            f"{under_way} exports are under way, allowed are {most}: wait for one, or remove one",
            limit=most,
            headers={"Retry-After": "5"},
        )
    return Problem(
        "too-many-exports",
        f"{kept} exports are kept, allowed are {MOST_KEPT}: remove some",
        limit=MOST_KEPT,
    )


def _parts(scope: Scope | None) -> frozenset[str]:
    return frozenset() if scope is None or scope.user_id is None else frozenset({"user"})


def _params(scope: Scope, **more: Any) -> dict[str, Any]:
    user = {} if scope.user_id is None else {"user": scope.user_id}
    return {"tenant": scope.tenant, **user, **more}


def _request_key(caller: Caller, key: str | None) -> str | None:
    if key is None:
        return None
    who = "\n".join((caller.tenant, caller.subject, caller.user_id or "", key))
    return blake2b(who.encode(), digest_size=16).hexdigest()
