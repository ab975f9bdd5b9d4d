"""A way to a server that breaks: a TCP proxy which a test can cut, close, hang or make lossy."""

import asyncio
import random
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Wire:
    """Stands before the server of a URL, in a thread of its own; `url` leads through it.

    The server may be away: a connection is then closed at once.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._choice = random.Random(3)
        self._lossy = 0
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0)
        )
        user, at, _ = self._target.netloc.rpartition("@")
        port = self._server.sockets[0].getsockname()[1]
        self.url = urlunsplit(self._target._replace(netloc=f"{user}{at}127.0.0.1:{port}"))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def lose_replies(self, odds: int) -> None:
        """Of about so many replies one is lost, and its connection with it; 0: none."""
        self._lossy = odds

    def cut(self) -> None:
        """Break every connection."""
        self._loop.call_soon_threadsafe(self._abort)

    def close(self) -> None:
        """Break every connection and take no new ones, until `open`."""
        self._closed = True
        self.cut()

    def open(self) -> None:
        self._closed = False

    def hang(self) -> None:
        """Keep the connections and let nothing through, until `flow`."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def flow(self) -> None:
        self._loop.call_soon_threadsafe(self._flows.set)

    def _abort(self) -> None:
        for connection in list(self._connections):
            connection.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        self._flows.set()
        self._abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        if not self._closed:
            with suppress(OSError):
                there = await asyncio.open_connection(self._target.hostname, self._target.port)
        if there is None:
            writer.transport.abort()
            return
        far, back = there
        for source, sink, replies in ((reader, back, False), (far, writer, True)):
            self._connections.add(sink)
            task = asyncio.create_task(self._pump(source, sink, replies))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, replies: bool
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._flows.wait()
                if replies and self._lossy and self._choice.randrange(self._lossy) == 0:
                    break
                sink.write(data)
                await sink.drain()
        self._connections.discard(sink)
        sink.transport.abort()
