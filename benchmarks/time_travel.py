"""as_of: what it costs to look at the past of sessions of 100, 10,000 and 100,000 turns.

For each: the first look at the middle (the history is folded from its beginning, a long one in a
process of its own), then at the end; then, with the history kept, pages and sessions of moments all
over it. Meanwhile another client reads a plain page.
"""

import multiprocessing
import random
import socket
import threading
import time
from collections.abc import Callable

import httpx
import uvicorn
from harness import (
    Appender,
    arguments,
    await_projected,
    median,
    peak_rss_mib,
    projectors,
    servers,
    turn_event,
)

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_cli.instance import ServerUrls

_A_CALL = 500
_PLAIN = "small/turns?limit=100"


def main() -> None:
    options = arguments(__doc__, turns=100_000, looks=60)
    sizes = [size for size in (100, 10_000, 100_000) if size <= options.turns]
    with servers(options) as urls:
        _fill(urls, sizes)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=(urls, port))
        server.start()
        assert server.pid is not None
        try:
            client = _Client(port)
            client.await_server()
            before = [client.get(_PLAIN) for _ in range(300)]
            print(f"plain page of 100 turns, nothing else to do: {_times(before)}")
            for size in sizes:
                _measure(client, port, size, options.looks)
                print(f"  memory of the server so far: {peak_rss_mib(server.pid):.0f} MiB")
        finally:
            server.terminate()
            server.join()


def _measure(client: "_Client", port: int, size: int, looks: int) -> None:
    name = f"of-{size}"
    chooser = random.Random(size)
    with _Beside(port) as beside:
        middle = client.get(f"{name}?as_of={size // 2}")
        end = client.get(f"{name}?as_of={size - 1}")
    print(f"{size:,} turns")
    print(f"  first look at the middle {middle * 1e3:.0f} ms, then at the end {end * 1e3:.0f} ms")
    print(f"  plain pages of another session meanwhile: {_times(beside.seconds)}")

    def looking(path: Callable[[int], str]) -> str:
        return _times(
            [client.get(f"{name}{path(chooser.randint(1, size - 1))}") for _ in range(looks)]
        )

    last = size - 1
    print(f"  session, any moment: {looking(lambda at: f'?as_of={at}')}")
    print(f"  newest 100, any moment: {looking(lambda at: f'/turns?as_of={at}&order=desc')}")
    print(f"  any 100, same moment: {looking(lambda at: f'/turns?as_of={last}&after={at}')}")
    print(f"  any 100 as they are now: {looking(lambda at: f'/turns?after={at}')}")
    print(f"  any 100 events of the log: {looking(lambda at: f'/events?after={at}')}", flush=True)


class _Client:
    """Asks, and tells how long the answer took."""

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120.0)

    def get(self, path: str) -> float:
        began = time.perf_counter()
        self._client.get(f"/v1/sessions/{path}").raise_for_status()
        return time.perf_counter() - began

    def await_server(self) -> None:
        while True:
            try:
                self._client.get("/healthz")
                return
            except httpx.TransportError:
                time.sleep(0.05)


class _Beside:
    """Another client, which reads a plain page all the time."""

    def __init__(self, port: int) -> None:
        self.seconds: list[float] = []
        self._client = _Client(port)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "_Beside":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._stop.is_set():
            self.seconds.append(self._client.get(_PLAIN))
            time.sleep(0.005)


def _times(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    worst = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {median(ordered) * 1e3:.1f} ms, p99 {worst * 1e3:.1f} ms"


def _fill(urls: ServerUrls, sizes: list[int]) -> None:
    appender = Appender(urls.redis_url)
    for name, size in [("small", 100), *((f"of-{size}", size) for size in sizes)]:
        for first in range(0, size, _A_CALL):
            numbers = range(first, min(first + _A_CALL, size))
            appender.append(name, [turn_event(number) for number in numbers])
    with projectors(urls) as workers:
        await_projected(urls, 100 + sum(sizes), workers)


def _serve(urls: ServerUrls, port: int) -> None:
    app = create_app(ApiSettings(redis_url=urls.redis_url, postgres_url=urls.postgres_url))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
