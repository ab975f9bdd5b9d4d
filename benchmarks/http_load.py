"""Asking a server all the time over a few connections: requests/s and the slowest of a hundred."""

import asyncio
import itertools
import multiprocessing
import socket
import statistics
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import NamedTuple

import uvloop
from harness import median

from turnlog_cli.instance import ServerUrls


class Rate(NamedTuple):
    """What a round has seen."""

    per_second: float
    p99_ms: float

    def __str__(self) -> str:
        return f"{self.per_second:9,.1f} requests/s, p99 {self.p99_ms:8.1f} ms"


@contextmanager
def server(serve: Callable[[ServerUrls, int], None], urls: ServerUrls) -> Generator[int]:
    """The port of `serve(urls, port)`, which runs in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(urls, port))
    process.start()
    try:
        _await_server(port)
        yield port
    finally:
        process.terminate()
        process.join()


def _await_server(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server does not answer")


class Load:
    """Asks over some connections, each again as soon as it has its answer."""

    def __init__(self, port: int, connections: int, seconds: float) -> None:
        self._port = port
        self._connections = connections
        self._seconds = seconds

    def against(
        self, ours: str, bare: str, *, rounds: int, user: str | None = None
    ) -> tuple[Rate, Rate]:
        """The medians of both, asked in turns; the first round only warms up."""
        seen: dict[str, list[Rate]] = {ours: [], bare: []}
        for number in range(rounds + 1):
            for path in (bare, ours):
                rate = uvloop.run(self._rate(path, user))
                if number:
                    seen[path].append(rate)
        first, second = (
            Rate(median([r.per_second for r in seen[path]]), median([r.p99_ms for r in seen[path]]))
            for path in (ours, bare)
        )
        return first, second

    def once(self, path: str, user: str | None = None) -> bytes:
        """The body of one answer."""

        async def ask() -> bytes:
            reader, writer = await self._connect()
            writer.write(_request(path, user))
            body = await _answer(reader)
            writer.close()
            return body

        return uvloop.run(ask())

    async def _rate(self, path: str, user: str | None) -> Rate:
        began = time.perf_counter()
        end = began + self._seconds
        request = _request(path, user)
        times = await asyncio.gather(
            *(self._ask_until(end, request) for _ in range(self._connections))
        )
        every = list(itertools.chain.from_iterable(times))
        p99 = (
            statistics.quantiles(every, n=100, method="inclusive")[-1]
            if len(every) > 1
            else every[0]
        )
        return Rate(len(every) / (time.perf_counter() - began), p99 * 1000)

    async def _ask_until(self, end: float, request: bytes) -> list[float]:
        reader, writer = await self._connect()
        times: list[float] = []
        while not times or time.perf_counter() < end:
            began = time.perf_counter()
            writer.write(request)
            await _answer(reader)
            times.append(time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()
        return times

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)


def _request(path: str, user: str | None) -> bytes:
    header = f"Turnlog-User: {user}\r\n" if user else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n".encode()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the server answered {head.splitlines()[0]!r}")
    fields = dict(line.split(b": ", 1) for line in head.lower().splitlines() if b": " in line)
    return await reader.readexactly(int(fields[b"content-length"]))
