"""A TCP proxy that loses replies: what a client sees when the network fails after its request."""

import select
import socket
import threading
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

Mood = Literal["forward", "cut once", "cut", "silent"]


class Proxy:
    """Stands before a server. Requests always reach it. Replies come back as `mood` says: all, all
    but the next one (its connection is cut instead), none (cut), none (kept open)."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._target = (parts.hostname, parts.port or 6379)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        user, at, _ = parts.netloc.rpartition("@")
        self.url = urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{port}"))
        self.mood: Mood = "forward"
        self.lost = 0
        """Replies that were not passed on."""
        self._ending, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._accept)
        self._connections: list[threading.Thread] = []
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.close()
        for thread in (self._thread, *self._connections):
            thread.join()
        self._listener.close()
        self._ending.close()

    def _accept(self) -> None:
        while True:
            readable, _, _ = select.select([self._listener, self._ending], [], [])
            if self._ending in readable:
                return
            client, _ = self._listener.accept()
            thread = threading.Thread(target=self._forward, args=(client,))
            self._connections.append(thread)
            thread.start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            while True:
                readable, _, _ = select.select([client, server, self._ending], [], [])
                if self._ending in readable:
                    return
                for end in readable:
                    try:
                        data = end.recv(65536)
                    except ConnectionResetError:
                        return
                    if not data:
                        return
                    if end is client:
                        server.sendall(data)
                    elif self.mood == "forward":
                        client.sendall(data)
                    else:
                        self.lost += 1
                        if self.mood == "silent":
                            continue
                        if self.mood == "cut once":
                            self.mood = "forward"
                        return
