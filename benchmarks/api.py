"""Reads of the API against the same server doing the bare SQL of the same answer: requests/s, p99.

The newest 50 sessions of a user who has 10,000, the newest 100 turns of a session, a search, and
statistics over 90 days; each at both sizes of the log, one after the other, on servers of its own.

The bare routes exist in this benchmark only, in the same process and framework, over a pool of
their own as the tables' owner: each is one statement that takes ready JSON from the same rows, asks
nobody who may see them, and makes no cursor and no ETag.
"""

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI
from harness import (
    Appender,
    arguments,
    await_projected,
    projectors,
    servers,
    turn_event,
)
from http_load import Load, server
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool
from starlette.responses import Response

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_cli.instance import ServerUrls
from turnlog_projector.database import Database, connect_postgres
from turnlog_schemas import ids
from turnlog_schemas.codec import encode
from turnlog_schemas.searchquery import parse_query, tsquery
from turnlog_schemas.searchtext import scope_word

_USER = "busy"
_DAYS = 90
_TOPICS = 500
"""Words of which each turn has one: so many turns of the log, divided by this, hold each."""

_SESSIONS = f"""
SELECT string_agg(body, ',') FROM (
    SELECT body FROM g1.sessions
    WHERE tenant = 'default' AND user_id = '{_USER}' AND NOT deleted AND NOT erased
    ORDER BY updated_at DESC, session_id DESC LIMIT 50
) AS found
"""
_TURNS = """
SELECT string_agg(body, ',') FROM (
    SELECT body FROM g1.turns
    WHERE tenant = 'default' AND session_id = 'long' AND status <> 'retracted'
    ORDER BY seq DESC LIMIT 100
) AS found
"""
_SEARCH = """
SELECT string_agg(t.body, ',') FROM (
    SELECT session_id, seq
    FROM g1.search, (SELECT %s::tsquery AS q) AS asked
    WHERE words @@ (q && %s::tsquery)
    ORDER BY ts_rank(words, q, 8) DESC, at DESC LIMIT 20
) AS found
JOIN g1.turns AS t USING (session_id, seq) WHERE t.tenant = 'default'
"""
_STATS = f"""
WITH counted AS MATERIALIZED (
    SELECT date_trunc('day', t.at, 'UTC') AS day, t.session_id, s.user_id, t.role, t.model,
        t.input_tokens, t.output_tokens, t.response_us
    FROM g1.turns AS t
    JOIN g1.sessions AS s USING (tenant, session_id)
    WHERE t.tenant = 'default' AND t.at >= now() - interval '{_DAYS} days'
        AND t.seq > s.floor AND t.status <> 'retracted' AND NOT s.deleted
)
SELECT json_build_array(
    (SELECT json_agg(d) FROM (
        SELECT day, count(*), count(DISTINCT session_id), count(DISTINCT user_id),
            percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY response_us)
        FROM counted GROUP BY GROUPING SETS ((day), ())
    ) AS d),
    (SELECT json_agg(m) FROM (
        SELECT day, role, model, count(*), sum(input_tokens), sum(output_tokens)
        FROM counted GROUP BY GROUPING SETS ((day, role), (day, model), (role), (model))
    ) AS m)
)::text
"""


class Case(NamedTuple):
    """A read that is measured, and its bare statement."""

    name: str
    path: str
    bare: str
    params: tuple[str | None, ...] = ()
    user: str | None = None


def _cases() -> list[Case]:
    scope = scope_word("t", "conversation", "default", "")
    wanted = tsquery(parse_query("topic7"))
    since = (datetime.now(UTC) - timedelta(days=_DAYS - 1)).date()
    return [
        Case("newest 50 sessions", "/v1/sessions?limit=50", _SESSIONS, user=_USER),
        Case("newest 100 turns", "/v1/sessions/long/turns?order=desc&limit=100", _TURNS),
        Case("search", "/v1/search?q=topic7", _SEARCH, (wanted, scope)),
        Case(f"stats over {_DAYS} days", f"/v1/stats?since={since}", _STATS),
    ]


def main() -> None:
    options = arguments(
        __doc__,
        small=10_000,
        large=1_000_000,
        sessions=10_000,
        connections=8,
        rounds=5,
        milliseconds=1000,
    )
    for turns in (options.small, options.large):
        with servers(options) as urls:
            _fill(urls, turns, options.sessions)
            with server(_serve, urls) as port:
                _measure(port, turns, options)


def _measure(port: int, turns: int, options: argparse.Namespace) -> None:
    load = Load(port, options.connections, options.milliseconds / 1000)
    for number, case in enumerate(_cases()):
        bare = f"/v1/bare/{number}"
        for path in (bare, case.path):
            if len(load.once(path, case.user)) < 50:
                raise SystemExit(f"{path} finds nothing")
        ours, theirs = load.against(case.path, bare, rounds=options.rounds, user=case.user)
        ratio = ours.per_second / theirs.per_second
        print(
            f"{turns:9,} turns, {case.name + ':':20} {ours}; bare SQL {theirs}; rate {ratio:.2f}",
            flush=True,
        )


# Filling ------------------------------------------------------------------------------------


def _fill(urls: ServerUrls, turns: int, sessions: int) -> None:
    """A user with many sessions, one long session, and turns of the last days in sessions of 15."""
    began = time.monotonic()
    appender = Appender(urls.redis_url)
    pipe = appender.client.pipeline(transaction=False)
    events = 0
    for number, (session_id, lot) in enumerate(_lots(turns, sessions)):
        appender.append(session_id, lot, pipe=pipe)
        events += len(lot)
        if number % 200 == 0:
            pipe.execute()
    pipe.execute()
    appended = time.monotonic()
    with projectors(urls) as workers, connect_postgres(urls.postgres_url) as connection:
        await_projected(urls, events, workers)
        _await_indexed(connection, turns)
        connection.execute("VACUUM ANALYZE")
    print(
        f"{turns:,} turns, {sessions:,} sessions of one user: appended in {appended - began:.0f} "
        f"s, projected and indexed in {time.monotonic() - appended:.0f} s",
        flush=True,
    )


def _lots(turns: int, sessions: int) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    for number in range(sessions):
        yield f"busy-{number}", [_started(_USER)]
    long = turns // 10
    for first in range(0, long, 500):
        yield "long", [_turn(n, turns) for n in range(first, min(first + 500, long))]
    for first in range(long, turns, 15):
        events = [_turn(n, turns) for n in range(first, min(first + 15, turns))]
        yield f"s-{first}", [_started(f"u{first % 1000}"), *events]


def _started(user: str) -> tuple[str, bytes]:
    event_id = ids.new_id()
    at = _at(0.0)
    return event_id, encode("session.started", {"user_id": user}, event_id=event_id, at=at)


def _turn(number: int, turns: int) -> tuple[str, bytes]:
    answered = {"response_time_ms": 200 + number % 1700} if number % 2 else {}
    return turn_event(number, at=_at(number / turns), word=f"topic{number % _TOPICS}", **answered)


def _at(part: float) -> str:
    """A time within the last days; the later, the larger `part`."""
    moment = datetime.now(UTC) - timedelta(days=_DAYS - 2) * (1 - part)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _await_indexed(connection: Database, turns: int) -> None:
    deadline = time.monotonic() + 1800
    while True:
        row = connection.execute("SELECT count(*) FROM g1.search").fetchone()
        if row is not None and row[0] >= turns:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"only {row} of {turns:,} turns can be searched")
        time.sleep(0.5)


# Serving ------------------------------------------------------------------------------------


def _serve(urls: ServerUrls, port: int) -> None:
    """The API with the bare routes."""
    settings = ApiSettings(redis_url=urls.redis_url, postgres_url=urls.postgres_url)
    app = create_app(settings)
    pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
        urls.postgres_url,
        min_size=settings.postgres_pool,
        max_size=settings.postgres_pool,
        open=False,
        kwargs={"autocommit": True},
    )
    for number, case in enumerate(_cases()):
        _add_bare_route(app, f"/v1/bare/{number}", case, pool)
    uvicorn.run(app, port=port, log_config=None, access_log=False)


def _add_bare_route(
    app: FastAPI, path: str, case: Case, pool: AsyncConnectionPool[AsyncConnection[TupleRow]]
) -> None:
    query: Any = case.bare

    async def bare() -> Response:
        if pool.closed:
            await pool.open(wait=True)
        async with pool.connection() as connection:
            row = await (await connection.execute(query, case.params or None)).fetchone()
        return Response(b"[%b]" % (row[0] if row and row[0] else "").encode())

    app.get(path)(bare)


if __name__ == "__main__":
    main()
