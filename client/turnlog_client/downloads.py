"""Files, piece by piece: as much is in memory as one piece, whatever the length."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import httpx

from turnlog_client.errors import Unavailable
from turnlog_client.pages import AsyncRunner, Runner
from turnlog_client.requests import Reply, Request, Steps

_IDENTITY = {"Accept-Encoding": "identity"}
_PARTIAL = 206
_FRUITLESS = 3
"""So many breaks in a row without a byte between them end a download."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be asked for, not yet asked. One that `resumes` is the same each time: a
    download that breaks off goes on where it was."""

    request: Request
    resumes: bool = False


class _Progress:
    """How far one download is."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._etag: str | None = None
        self._received = 0
        self._fruitless = 0

    def open(self) -> Steps[httpx.Response]:
        """Ask for what is missing."""
        request = self._source.request
        if self._source.resumes:
            headers = {**request.headers, **_IDENTITY}
            if self._received and self._etag is not None:
                headers |= {"Range": f"bytes={self._received}-", "If-Range": self._etag}
            request = replace(request, headers=headers)
        reply = yield request
        self._check(reply)
        assert reply.stream is not None
        return reply.stream

    def took(self, piece: bytes) -> bytes:
        self._received += len(piece)
        self._fruitless = 0
        return piece

    def broke(self, error: httpx.RequestError) -> None:
        """Decide whether to go on. Raises `Unavailable`."""
        self._fruitless += 1
        if not self._source.resumes or self._etag is None or self._fruitless > _FRUITLESS:
            raise self._ended(f"broke off ({type(error).__name__})")

    def _check(self, reply: Reply) -> None:
        if self._received and reply.status != _PARTIAL:
            raise self._ended("was made anew meanwhile")
        self._etag = reply.etag

    def _ended(self, what: str) -> Unavailable:
        return Unavailable(
            f"the file {what} after {self._received:,} bytes: begin again",
            request=self._source.request.name,
        )


class Download:
    """A file, by a `Client`: iterate over it for its bytes, or `save` it. Each iteration asks
    anew. Raises `Unavailable` when it ends early: what came till then is not the file."""

    def __init__(self, runner: Runner, source: Source) -> None:
        self._runner = runner
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        progress = _Progress(self._source)
        while True:
            response = self._runner.run(progress.open())
            try:
                for piece in response.iter_bytes():
                    yield progress.took(piece)
                return
            except httpx.RequestError as error:
                progress.broke(error)
            finally:
                response.close()

    def read(self) -> bytes:
        """All of it, in memory."""
        return b"".join(self)

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write it to a file, which is there when it is whole and not before; its size in bytes."""
        with _Part(path) as part:
            for piece in self:
                part.write(piece)
        return part.size


class AsyncDownload:
    """A file, by an `AsyncClient`: `async for` over it gives its bytes, or `save` it. Each
    iteration asks anew. Raises `Unavailable` when it ends early: what came till then is not the
    file."""

    def __init__(self, runner: AsyncRunner, source: Source) -> None:
        self._runner = runner
        self._source = source

    async def __aiter__(self) -> AsyncIterator[bytes]:
        progress = _Progress(self._source)
        while True:
            response = await self._runner.run(progress.open())
            try:
                async for piece in response.aiter_bytes():
                    yield progress.took(piece)
                return
            except httpx.RequestError as error:
                progress.broke(error)
            finally:
                await response.aclose()

    async def read(self) -> bytes:
        """All of it, in memory."""
        return b"".join([piece async for piece in self])

    async def save(self, path: str | os.PathLike[str]) -> int:
        """Write it to a file, which is there when it is whole and not before; its size in bytes."""
        with _Part(path) as part:
            async for piece in self:
                await asyncio.to_thread(part.write, piece)
        return part.size


class _Part:
    """A file in the making: it gets its name when nothing has failed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._part = self._path.with_name(f"{self._path.name}.part")
        self.size = 0

    def __enter__(self) -> Self:
        self._file = self._part.open("wb")
        return self

    def write(self, piece: bytes) -> None:
        self.size += self._file.write(piece)

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink()
