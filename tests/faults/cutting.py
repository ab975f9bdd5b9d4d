"""A way to Redis that breaks: the request arrives, its reply never does."""

import random
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


@contextmanager
def cutting(redis_url: str, *, every: int) -> Generator[str]:
    """The address of a proxy that forwards all, but closes the connection instead of passing on
    about one reply in `every`."""
    parts = urlsplit(redis_url)
    assert parts.hostname is not None
    assert parts.port is not None
    target = (parts.hostname, parts.port)
    listener = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    threading.Thread(target=_accept, args=(listener, target, every), daemon=True).start()
    try:
        yield urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{host}"))
    finally:
        listener.close()


def _accept(listener: socket.socket, target: tuple[str, int], every: int) -> None:
    choice = random.Random(3)
    with suppress(OSError):  # the listener is closed in the end
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(target)
            for source, sink, odds in ((near, far, 0), (far, near, every)):
                seed = choice.random()
                threading.Thread(target=_pump, args=(source, sink, odds, seed), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, odds: int, seed: float) -> None:
    choice = random.Random(seed)
    with suppress(OSError):
        while (data := source.recv(65536)) and not (odds and choice.randrange(odds) == 0):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
