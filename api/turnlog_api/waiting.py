"""Waiting until the read models show a seq, for any number of requests with one query at a time."""

import asyncio
import time
from typing import NamedTuple

from turnlog_api.queries import Query
from turnlog_api.reading import Reader
from turnlog_api.rows import Rows

_SHORTEST_S = 0.002
_LONGEST_S = 0.05


class _Wait(NamedTuple):
    key: tuple[str, str]
    seq: int
    since: float
    done: "asyncio.Future[int]"


class Waits:
    """Polls for all who wait, often for those who have just begun and seldom for the others."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waits: list[_Wait] = []
        self._poller: asyncio.Task[None] | None = None

    async def projected(
        self, tenant: str, session_id: str, seq: int, *, timeout_s: float
    ) -> int | None:
        """Wait until the session is projected up to `seq`; the seq it then has, or None after
        `timeout_s`. Raises `ServerUnavailable` when Postgres does not answer."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waits.append(_Wait((tenant, session_id), seq, time.monotonic(), done))
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="turnlog waits")
        try:
            async with asyncio.timeout(timeout_s):
                return await done
        except TimeoutError:
            return None

    async def close(self) -> None:
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.wait([self._poller])

    async def _poll(self) -> None:
        while self._waits:
            try:
                keys = list(dict.fromkeys(wait.key for wait in self._waits))
                found = await self._reader.fetch(projected(keys))
            except Exception as error:  # handed to those who wait
                waits, self._waits = self._waits, []
                for wait in waits:
                    if not wait.done.done():
                        wait.done.set_exception(error)
                return
            seqs = dict(zip(keys, found, strict=True))
            for wait in self._waits:
                if not wait.done.done() and seqs.get(wait.key, 0) >= wait.seq:
                    wait.done.set_result(seqs[wait.key])
            self._waits = [wait for wait in self._waits if not wait.done.done()]
            if self._waits:
                age = time.monotonic() - max(wait.since for wait in self._waits)
                await asyncio.sleep(min(max(age / 2, _SHORTEST_S), _LONGEST_S))


def projected(keys: list[tuple[str, str]]) -> Query[list[int]]:
    """How far some sessions, named by tenant and session id, are projected."""

    def read(rows: Rows) -> list[int]:
        return [rows.number(row, 1) or 0 for row in range(rows.count)]

    params = {"tenants": [key[0] for key in keys], "session_ids": [key[1] for key in keys]}
    return Query("projected", frozenset(), params, read)
