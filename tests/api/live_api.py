"""The API on a port of this machine, and a projector, each in a thread: for clients that are not
our own."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from servers import wait_until

from turnlog_api.main import server_config
from turnlog_api.settings import ApiSettings
from turnlog_projector.settings import Settings, load
from turnlog_projector.worker import Worker


@contextmanager
def listening(redis_url: str, postgres_url: str, **settings: Any) -> Generator[str]:
    """The address of an API of one's own."""
    values = {"redis_url": redis_url, "postgres_url": postgres_url, "access_log": False}
    server = uvicorn.Server(server_config(load(ApiSettings, **values, **settings)))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([taken],))
        thread.start()
        try:
            wait_until(lambda: server.started, "the API has started")
            yield f"http://127.0.0.1:{taken.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def projecting(redis_url: str, postgres_url: str) -> Generator[None]:
    """A worker projects, indexes and rebuilds meanwhile."""
    stop = threading.Event()
    settings = Settings(
        redis_url=redis_url, postgres_url=postgres_url, lease_seconds=1.0, log_level="ERROR"
    )
    thread = threading.Thread(target=Worker(settings, stop.is_set).run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
