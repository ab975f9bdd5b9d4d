"""A TCP proxy that a test can cut, refuse and hang: a server that goes away, without its data."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from turnlog_cli.ports import free_port


class Proxy:
    """Stands before the server of a URL; `url` leads through it."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._port = free_port()  # which nobody takes while the proxy is down
        self.connections = 0
        """Taken so far."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def url(self) -> str:
        userinfo, at, _ = self._target.netloc.rpartition("@")
        netloc = f"{userinfo}{at}127.0.0.1:{self._port}"
        return urlunsplit(self._target._replace(netloc=netloc))

    async def up(self) -> None:
        """Take connections."""
        self._flowing.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def down(self) -> None:
        """Cut every connection, refuse new ones."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    def hang(self) -> None:
        """Keep the connections, let nothing through."""
        self._flowing.clear()

    async def close(self) -> None:
        await self.down()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        port = self._target.port
        assert port is not None
        there, back = await asyncio.open_connection("127.0.0.1", port)
        for one, other in ((reader, back), (there, writer)):
            self._writers.add(other)
            task = asyncio.create_task(self._pump(one, other))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
