"""How long after its append a turn is visible by GET, at 200 turns/s, against the least that could
do it: raw XADD, a consumer that reads the stream and inserts each row, a GET of one bare SELECT.

Both ways share the servers and the API process, and are measured in turns. A load of 200 turns/s
runs all the time of the way being measured; beside it, every 50 ms, one more turn is appended and
asked for again and again until the answer shows it.
"""

import http.client
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any, cast

import redis
import uvicorn
from harness import arguments, median, projectors, servers, turn_event, verdict
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_cli.instance import ServerUrls
from turnlog_producers import TurnLog
from turnlog_projector.database import connect_postgres

_STREAM = "bare:turns"
_SESSIONS = 50
_EVERY_S = 0.05

Append = Callable[[str, int], None]
_Fields = dict[bytes, bytes]


def main() -> None:
    options = arguments(__doc__, rate=200, probes=100, rounds=5)
    with servers(options) as urls, projectors(urls):
        _make_table(urls)
        with _running(_serve, urls, port := _free_port()), _running(_consume, urls):
            _await_server(port)
            connection = http.client.HTTPConnection("127.0.0.1", port)
            ours: list[float] = []
            theirs: list[float] = []
            for number in range(options.rounds + 1):
                measured = [
                    _measure(connection, urls, options.rate, options.probes, kind)
                    for kind in ("turnlog", "raw")
                ]
                if number:  # the first round warms up
                    ours += measured[0]
                    theirs += measured[1]
                    p50 = [median(values) * 1000 for values in measured]
                    print(f"round {number}: p50 {p50[0]:.2f} ms, raw {p50[1]:.2f} ms", flush=True)
    for name, values in (("turnlog", ours), ("raw", theirs)):
        values.sort()
        p50, p99 = median(values) * 1000, values[int(len(values) * 0.99)] * 1000
        print(f"{name}: visible after {p50:.2f} ms (p50), {p99:.2f} ms (p99)")
    print("p50 against raw:", verdict(median(ours) / median(theirs), 5, at_most=True))


def _measure(
    connection: http.client.HTTPConnection, urls: ServerUrls, rate: int, probes: int, kind: str
) -> list[float]:
    """Seconds from before the append until an answer shows it, for each probe."""
    taken: list[float] = []
    with _running(_load, urls, rate, kind), _appender(urls, kind) as append:
        session_id = f"probe-{kind}-{time.time_ns()}"
        path = f"/v1/sessions/{session_id}/turns?order=desc&limit=1"
        if kind == "raw":
            path = f"/v1/bare/{session_id}"
        time.sleep(0.5)
        for number in range(probes + 1):
            mark = b'"probe %d"' % number
            began = time.perf_counter()
            append(session_id, number)
            while mark not in _get(connection, path):
                if time.perf_counter() - began > 10:
                    raise SystemExit(f"{kind}: a turn was not visible after 10 s")
            if number:  # the first turn begins a session, which is more
                taken.append(time.perf_counter() - began)
            time.sleep(max(_EVERY_S - (time.perf_counter() - began), 0.0))
    return taken


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


# The two ways to append -----------------------------------------------------------------------


@contextmanager
def _appender(urls: ServerUrls, kind: str) -> Generator[Append]:
    """Appends turn `number` of a session, one call."""
    if kind == "turnlog":
        with TurnLog.connect(urls.redis_url) as log:

            def append_turn(session_id: str, number: int) -> None:
                log.session(session_id).append_turn("user", _content(session_id, number))

            yield append_turn
        return
    with redis.Redis.from_url(urls.redis_url) as client:

        def add(session_id: str, number: int) -> None:
            event_id, raw = turn_event(number)
            body = raw + b' "%s"' % _content(session_id, number).encode()
            client.xadd(_STREAM, {"s": session_id, "n": str(number), "i": event_id, "e": body})

        yield add


def _content(session_id: str, number: int) -> str:
    return f"probe {number}" if session_id.startswith("probe") else "word " * 50


def _load(urls: ServerUrls, rate: int, kind: str) -> None:
    """`rate` turns a second, in sessions that take turns."""
    start = time.time_ns()
    with _appender(urls, kind) as append:
        began = time.perf_counter()
        for number in range(1_000_000):
            append(f"load-{start}-{number % _SESSIONS}", number)
            time.sleep(max(began + number / rate - time.perf_counter(), 0.0))


# The least that could do it ---------------------------------------------------------------------


def _make_table(urls: ServerUrls) -> None:
    with connect_postgres(urls.postgres_url) as connection:
        connection.execute("CREATE SCHEMA bare")
        connection.execute(
            "CREATE TABLE bare.turns (session_id text, n bigint, event_id text, body text,"
            " PRIMARY KEY (session_id, n))"
        )
        connection.execute("GRANT USAGE ON SCHEMA bare TO turnlog_api")
        connection.execute("GRANT SELECT ON bare.turns TO turnlog_api")


def _consume(urls: ServerUrls) -> None:
    """Read the stream, insert each row, commit what was read at once."""
    last = b"0"
    with (
        redis.Redis.from_url(urls.redis_url, protocol=2) as client,
        connect_postgres(urls.postgres_url) as connection,
    ):
        while True:
            found: Any = client.xread({_STREAM: last}, block=1000)
            for _, entries in cast(list[tuple[bytes, list[tuple[bytes, _Fields]]]], found):
                rows = [
                    (f[b"s"].decode(), int(f[b"n"]), f[b"i"].decode(), f[b"e"].decode())
                    for _, f in entries
                ]
                with connection.transaction(), connection.cursor() as cursor:
                    cursor.executemany("INSERT INTO bare.turns VALUES (%s, %s, %s, %s)", rows)
                last = entries[-1][0]


def _serve(urls: ServerUrls, port: int) -> None:
    """The API with one route more: a SELECT of the newest body of a session."""
    app = create_app(ApiSettings(redis_url=urls.redis_url, postgres_url=urls.postgres_url))
    reader = app.state.service.reader

    async def bare(request: Request) -> Response:
        rows = await reader.rows(
            "SELECT body FROM bare.turns WHERE session_id = %(session_id)s ORDER BY n DESC LIMIT 1",
            {"session_id": request.path_params["session_id"]},
        )
        return Response(rows.raw(0, 0) if rows.count else b"", media_type="application/json")

    app.get("/v1/bare/{session_id}")(bare)
    uvicorn.run(app, port=port, log_config=None, access_log=False)


# Processes --------------------------------------------------------------------------------------


@contextmanager
def _running(target: Callable[..., None], *args: object) -> Generator[BaseProcess]:
    """A process that ends with the block."""
    process = multiprocessing.get_context("spawn").Process(target=_ending, args=(target, args))
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join()


def _ending(target: Callable[..., None], args: tuple[object, ...]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    target(*args)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await_server(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server does not answer")


if __name__ == "__main__":
    main()
