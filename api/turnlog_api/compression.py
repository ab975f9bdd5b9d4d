"""Compressed answers, for clients that take them: zstd, which costs little, else gzip."""

import asyncio
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import zstandard
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIN_BYTES = 1024
"""Smaller answers fit into a packet or two anyway."""
_ZSTD_LEVEL = 1
_GZIP_LEVEL = 1
_IN_A_THREAD_BYTES = 256 * 1024
_TYPES = frozenset(
    {
        *(b"application/json", b"application/problem+json"),
        *(b"application/jsonl", b"application/x-ndjson", b"text/csv", b"text/markdown"),
        *(b"text/plain", b"text/html", b"text/css", b"text/javascript"),
    }
)
"""Events (text/event-stream) are not among them: each must arrive when it was sent."""


class _Stream(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


_STREAMS: dict[bytes, Callable[[], _Stream]] = {
    b"zstd": lambda: zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj(),
    b"gzip": lambda: zlib.compressobj(_GZIP_LEVEL, wbits=31),
}


class Compression:
    """Compresses answers of some size. What is compressed already, or an event stream, passes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        coding = _coding(scope)
        if coding is None:
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Compressed(send, coding))


class _Compressed:
    """Takes the messages of one answer."""

    def __init__(self, send: Send, coding: bytes) -> None:
        self._send = send
        self._coding = coding
        self._start: Message | None = None
        self._stream: _Stream | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if _is_compressible(message):
                self._start = message
            else:
                await self._send(message)
        elif self._start is not None:
            start, self._start = self._start, None
            await self._begin(start, message)
        elif self._stream is not None:
            await self._go_on(message)
        else:
            await self._send(message)

    async def _begin(self, start: Message, message: Message) -> None:
        body: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if not more and len(body) < MIN_BYTES:
            await self._send(start)
            await self._send(message)
            return
        headers = [header for header in start["headers"] if header[0] != b"content-length"]
        headers = [_weakened(header) for header in headers]
        headers += [(b"content-encoding", self._coding), (b"vary", b"Accept-Encoding")]
        start["headers"] = headers
        self._stream = _STREAMS[self._coding]()
        if more:
            await self._send(start)
            await self._go_on(message)
            return
        body = await self._compress(body, last=True)
        headers.append((b"content-length", str(len(body)).encode()))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    async def _go_on(self, message: Message) -> None:
        more = message.get("more_body", False)
        body = await self._compress(message.get("body", b""), last=not more)
        if body or not more:
            await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _compress(self, body: bytes, *, last: bool) -> bytes:
        stream = self._stream
        assert stream is not None, "begun before"

        def work() -> bytes:
            return stream.compress(body) + (stream.flush() if last else b"")

        return await asyncio.to_thread(work) if len(body) > _IN_A_THREAD_BYTES else work()


def _is_compressible(start: Message) -> bool:
    if start["status"] in (204, 206, 304):  # a range is one of the bytes as they are
        return False
    found = False
    for name, value in start["headers"]:
        if name == b"content-encoding":
            return False
        if name == b"content-type":
            found = value.split(b";")[0].strip() in _TYPES
    return found


def _weakened(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """A strong ETag names bytes, and the compressed ones are others."""
    name, value = header
    return (name, b"W/" + value) if name == b"etag" and not value.startswith(b"W/") else header


def _coding(scope: Scope) -> bytes | None:
    if scope["type"] == "http":
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                return _preferred(value)
    return None


@lru_cache(maxsize=256)
def _preferred(accepted: bytes) -> bytes | None:
    """The coding to use: zstd before gzip, as far as the client takes them."""
    taken: set[bytes] = set()
    for part in accepted.lower().split(b","):
        coding, _, weight = part.partition(b";")
        if weight.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000"):
            taken.add(coding.strip())
    return next((coding for coding in _STREAMS if coding in taken), None)
