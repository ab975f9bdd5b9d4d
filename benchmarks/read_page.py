"""GET of 100 turns, against the same server doing one bare SELECT of the same ready JSON.

Two bare routes exist in this benchmark only, in the same process, framework, pool and role. The bar
is a SELECT of the ready JSON of the same 100 rows. The other reads one row that holds the whole
answer, stored uncompressed: what no history can do, the ceiling of the server. Then the newest page
of a long session against that of a short one, with the same number of turns.
"""

import asyncio
import multiprocessing
import socket
import time

import uvicorn
import uvloop
from fastapi import FastAPI
from harness import (
    Appender,
    arguments,
    await_projected,
    median,
    new_database,
    projectors,
    servers,
    turn_event,
    verdict,
)
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_cli.instance import ServerUrls
from turnlog_projector.database import connect_postgres

_PAGE = "/v1/sessions/hundred/turns?limit=100"
_BARE = "/v1/bare"
_ONE_ROW = "/v1/one-row"
_SELECT = """
SELECT string_agg(body, ',') FROM (
    SELECT body FROM bare.turns WHERE tenant = 'default' AND session_id = 'hundred'
    ORDER BY seq LIMIT 100
) AS found
"""
_TAG = {"ETag": 'W/"0"'}
"""So that the bars do not pay for making one."""
_NEWEST = "/v1/sessions/{}/turns?order=desc&limit=10"


def main() -> None:
    options = arguments(
        __doc__, turns=100_000, sessions=2_000, connections=8, rounds=25, milliseconds=400
    )
    with servers(options) as running:
        urls = new_database(running, "reading")
        _fill(urls, options.turns, options.sessions)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        context = multiprocessing.get_context("spawn")
        server = context.Process(target=_serve, args=(urls, port))
        server.start()
        try:
            _await_server(port)
            load = _Load(port, options.connections, options.milliseconds / 1000)
            with connect_postgres(urls.postgres_url) as connection:
                page = uvloop.run(load.once(_PAGE)).decode()
                connection.execute("INSERT INTO bare.page VALUES (1, %s)", (page,))
            assert uvloop.run(load.once(_ONE_ROW)).decode() == page
            assert uvloop.run(load.once(_BARE)).decode() in page
            load.compare("page of 100 turns", _PAGE, "bare SELECT", _BARE, options.rounds, 0.7)
            load.compare(
                "page of 100 turns", _PAGE, "one ready row", _ONE_ROW, options.rounds, None
            )
            load.compare(
                f"newest 10 of {options.turns:,} turns",
                _NEWEST.format("long"),
                "newest 10 of 10 turns",
                _NEWEST.format("ten"),
                options.rounds,
                1.3,
                cost=True,
            )
        finally:
            server.terminate()
            server.join()


def _fill(urls: ServerUrls, turns: int, sessions: int) -> None:
    appender = Appender(urls.redis_url)
    count = 0
    for session_id, length in (("hundred", 100), ("ten", 10), ("long", turns)):
        for first in range(0, length, 500):
            numbers = range(first, min(first + 500, length))
            appender.append(session_id, [turn_event(number, size=600) for number in numbers])
        count += length
    count += appender.fill(sessions * 15, said=False).events
    print(f"log: {count:,} turns in about {sessions + 3:,} sessions", flush=True)
    with projectors(urls) as workers:
        await_projected(urls, count, workers)
    with connect_postgres(urls.postgres_url) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CREATE SCHEMA bare")
        # A copy without policies: the bar pays nothing for row-level security.
        connection.execute("CREATE TABLE bare.turns (LIKE g1.turns INCLUDING ALL)")
        connection.execute("INSERT INTO bare.turns SELECT * FROM g1.turns")
        connection.execute("VACUUM ANALYZE bare.turns")
        connection.execute("CREATE TABLE bare.page (id integer PRIMARY KEY, body text)")
        connection.execute("ALTER TABLE bare.page ALTER body SET STORAGE EXTERNAL")
        connection.execute("GRANT USAGE ON SCHEMA bare TO turnlog_api")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA bare TO turnlog_api")


def _serve(urls: ServerUrls, port: int) -> None:
    """The API with one route more."""
    settings = ApiSettings(redis_url=urls.redis_url, postgres_url=urls.postgres_url)
    app = create_app(settings)
    _add_bare_routes(app)
    uvicorn.run(app, port=port, log_config=None, access_log=False)


def _add_bare_routes(app: FastAPI) -> None:
    reader = app.state.service.reader

    async def bare(request: Request) -> Response:  # noqa: ARG001
        rows = await reader.rows(_SELECT)
        return Response(rows.raw(0, 0), headers=_TAG, media_type="application/json")

    async def one_row(request: Request) -> Response:  # noqa: ARG001
        rows = await reader.rows("SELECT body FROM bare.page WHERE id = 1")
        return Response(rows.raw(0, 0), headers=_TAG, media_type="application/json")

    app.get(_BARE)(bare)
    app.get(_ONE_ROW)(one_row)


def _await_server(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server does not answer")


class _Load:
    """Asks over some connections, each again as soon as it has its answer."""

    def __init__(self, port: int, connections: int, seconds: float) -> None:
        self._port = port
        self._connections = connections
        self._seconds = seconds

    def compare(
        self,
        name: str,
        path: str,
        bar_name: str,
        bar_path: str,
        rounds: int,
        bar: float | None,
        *,
        cost: bool = False,
    ) -> None:
        """Both in turns; the first round only warms up. Without a bar it only tells."""
        ratios: list[float] = []
        rates: list[tuple[float, float]] = []
        for number in range(rounds + 1):
            theirs = uvloop.run(self._rate(bar_path))
            ours = uvloop.run(self._rate(path))
            if number:
                rates.append((ours, theirs))
                ratios.append(theirs / ours if cost else ours / theirs)
        print(f"{name}: {median([rate[0] for rate in rates]):,.0f} requests/s")
        print(f"{bar_name}: {median([rate[1] for rate in rates]):,.0f} requests/s")
        print("  each round: " + " ".join(f"{ratio:.2f}" for ratio in ratios))
        word = "cost" if cost else "rate"
        ratio = median(ratios)
        told = f"{ratio:.2f}" if bar is None else verdict(ratio, bar, at_most=cost)
        print(f"{word} of the one against the other:", told)

    async def once(self, path: str) -> bytes:
        """The body of one answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)
        writer.write(_request(path))
        body = await _answer(reader)
        writer.close()
        return body

    async def _rate(self, path: str) -> float:
        began = time.perf_counter()
        end = began + self._seconds
        counts = await asyncio.gather(
            *(self._ask_until(end, path) for _ in range(self._connections))
        )
        return sum(counts) / (time.perf_counter() - began)

    async def _ask_until(self, end: float, path: str) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)
        request = _request(path)
        count = 0
        while time.perf_counter() < end:
            writer.write(request)
            await _answer(reader)
            count += 1
        writer.close()
        await writer.wait_closed()
        return count


def _request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the server answered {head.splitlines()[0]!r}")
    fields = dict(line.split(b": ", 1) for line in head.lower().splitlines() if b": " in line)
    return await reader.readexactly(int(fields[b"content-length"]))


if __name__ == "__main__":
    main()
