"""GET /v1/search against the same server doing the bare SQL of the same answer: requests/s and p99.

The bare route exists in this benchmark only, in the same process and framework, over a pool of its
own as the tables' owner: it asks the table of search for the best (or newest) rows with the words,
and joins their ready JSON; it looks at no visibility, cuts no snippets and bounds nothing. The
tables are filled by COPY, as a replay leaves them.
"""

import itertools
import multiprocessing
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI
from harness import arguments, new_database, servers
from http_load import Load, server
from psycopg_pool import AsyncConnectionPool
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_cli.instance import ServerUrls
from turnlog_projector.database import connect_postgres
from turnlog_projector.lines import turn_lines
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.searchquery import parse_query, tsquery
from turnlog_schemas.searchtext import SearchScope, kind_letters, scope_word, turn_vector

_SESSION_TURNS = 10
_USERS = 1000
_BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
_CHUNK_SESSIONS = 500
_LIMIT = 20

_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
_HAN = (
    "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能"
    "对着事其里所去行过家十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心"
    "前面又定见只主没公从"
)


class Case(NamedTuple):
    """A search that is measured."""

    name: str
    q: str
    sort: str = "rank"
    user: str | None = None


def main() -> None:
    options = arguments(__doc__, turns=50_000, connections=8, rounds=5, milliseconds=1000)
    with servers(options) as running:
        urls = new_database(running, "searching")
        words = _vocabulary()
        _fill(urls, options.turns, words)
        with server(_serve, urls) as port:
            load = Load(port, options.connections, options.milliseconds / 1000)
            for case in _cases(words):
                _measure(load, case, options.rounds)


def _cases(words: list[str]) -> list[Case]:
    return [
        Case("a rare word", words[15_000]),
        Case("two words", f"{words[300]} {words[500]}"),
        Case("two words side by side", f'"{words[20]} {words[40]}"'),
        Case("one or the other, not the third", f"{words[2000]} or {words[3000]} -{words[3]}"),
        Case("part of a Chinese sentence", "经法"),
        Case("the most common word", words[0]),
        Case("the most common word, newest first", words[0], "newest"),
        Case("the most common word, of one user", words[0], user="u7"),
        Case("five common words", " ".join(words[1:6])),
        Case("nothing there", "nosuchword"),
    ]


# Filling ------------------------------------------------------------------------------------


def _vocabulary() -> list[str]:
    """20,000 words, the most common first."""
    chooser = random.Random(1)
    found: dict[str, None] = {}
    while len(found) < 20_000:
        found["".join(chooser.choices(_SYLLABLES, k=2 + len(found) // 4000))] = None
    return list(found)


def _fill(urls: ServerUrls, turns: int, words: list[str]) -> None:
    began = time.monotonic()
    sessions = turns // _SESSION_TURNS
    chunks = [
        (first, min(first + _CHUNK_SESSIONS, sessions), sessions, words)
        for first in range(0, sessions, _CHUNK_SESSIONS)
    ]
    with connect_postgres(urls.postgres_url) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(
            "ALTER TABLE g1.search DROP CONSTRAINT search_pkey;"
            "DROP INDEX g1.search_newest, g1.search_words"
        )
        with multiprocessing.get_context("spawn").Pool() as pool:
            for lines in pool.imap_unordered(_lines, chunks):
                for table, rows in lines.items():
                    with connection.cursor() as cursor:
                        query: Any = f"COPY g1.{table} FROM STDIN"
                        with cursor.copy(query) as stream:
                            stream.write(rows)
        filled = time.monotonic()
        with connection.transaction():
            connection.execute(statement("replay_settings"))
            connection.execute(statement("search_indexes", generation=1))
        indexed = time.monotonic()
        connection.execute("VACUUM ANALYZE")
        row = connection.execute(
            "SELECT pg_size_pretty(pg_table_size('g1.search')),"
            " pg_size_pretty(pg_relation_size('g1.search_words')),"
            " pg_size_pretty(pg_table_size('g1.turns'))"
        ).fetchone()
        assert row is not None
    print(
        f"{turns:,} turns in {sessions:,} sessions: made and copied in {filled - began:.0f} s, "
        f"indexed in {indexed - filled:.0f} s; search {row[0]} and its index of words {row[1]}, "
        f"turns {row[2]}",
        flush=True,
    )


def _lines(chunk: tuple[int, int, int, list[str]]) -> dict[str, bytes]:
    """Rows of some sessions, as lines of COPY."""
    first, last, sessions, words = chunk
    chooser = random.Random(first)
    weights = list(itertools.accumulate(1 / (place + 2) for place in range(len(words))))
    made: dict[str, list[bytes]] = {"sessions": [], "turns": [], "search": []}
    for number in range(first, last):
        session_id, user = f"s-{number}", f"u{number % _USERS}"
        scope = SearchScope("default", session_id, user, None, False)
        began = _BEGAN + timedelta(days=365) * (number / sessions)
        turns: list[Any] = []
        for place in range(1, _SESSION_TURNS + 1):
            text = " ".join(chooser.choices(words, cum_weights=weights, k=chooser.randint(5, 80)))
            if number % 50 == 0:
                text += " " + "".join(chooser.choices(_HAN, k=40))
            at = (began + timedelta(seconds=20 * place)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            turns.append(_turn(place, text, at))
            vector = turn_vector(turns[-1], scope)
            made["search"].append(f"default\t{session_id}\t{place}\t{at}\t{vector}\n".encode())
        made["turns"].append(turn_lines("default", session_id, turns))
        body = to_json({"session_id": session_id, "title": "A session"}).decode()
        at = began.isoformat()
        made["sessions"].append(
            f"default\t{session_id}\t{user}\t\\N\tA session\tprivate\tf\tf\tf\t{at}\t{at}\t"
            f"{_SESSION_TURNS}\t{_SESSION_TURNS}\t{body}\te\tt\tf\t0\tt\t{_SESSION_TURNS}\tt1\tt\t1"
            "\t0\n".encode()
        )
    return {table: b"".join(rows) for table, rows in made.items()}


def _turn(place: int, text: str, at: str) -> dict[str, Any]:
    empty = (
        "name tool_calls tool_call_id artifacts model usage response_time_ms parent_turn_id reason"
        " actor metadata"
    )
    return {
        **dict.fromkeys(empty.split()),
        "turn_id": f"t{place}",
        "seq": place,
        "role": "user" if place % 2 else "assistant",
        "content": text,
        "branch_id": "main",
        "status": "complete",
        "edited": False,
        "annotations": [],
        "at": at,
        "recorded_at": at,
    }


# Serving ------------------------------------------------------------------------------------


def _serve(urls: ServerUrls, port: int) -> None:
    """The API with one route more."""
    settings = ApiSettings(redis_url=urls.redis_url, postgres_url=urls.postgres_url)
    app = create_app(settings)
    _add_bare_route(app, urls.postgres_url, settings.postgres_pool)
    uvicorn.run(app, port=port, log_config=None, access_log=False)


def _add_bare_route(app: FastAPI, url: str, size: int) -> None:
    pool = AsyncConnectionPool(
        url, min_size=size, max_size=size, open=False, kwargs={"autocommit": True}
    )

    async def bare(request: Request) -> Response:
        if pool.closed:
            await pool.open(wait=True)
        params = request.query_params
        order = "at DESC" if params["sort"] == "newest" else "ts_rank(words, q, 8) DESC, at DESC"
        query: Any = f"""
            SELECT string_agg(t.body, ',')
            FROM (
                SELECT session_id, seq
                FROM g1.search, (SELECT %s::tsquery AS q) AS asked
                WHERE words @@ (q && %s::tsquery)
                ORDER BY {order}
                LIMIT {_LIMIT}
            ) AS found
            JOIN g1.turns AS t
                ON t.tenant = 'default' AND t.session_id = found.session_id AND t.seq = found.seq
        """
        async with pool.connection() as connection:
            cursor = await connection.execute(query, (params["wanted"], params["scope"]))
            row = await cursor.fetchone()
        return Response(b"[%b]" % (row[0] if row and row[0] else "").encode())

    app.get("/v1/bare")(bare)


# Measuring ----------------------------------------------------------------------------------


def _measure(load: Load, case: Case, rounds: int) -> None:
    ours = "/v1/search?" + urlencode({"q": case.q, "sort": case.sort, "limit": _LIMIT})
    level, name = ("t", "") if case.user is None else ("u", case.user)
    scope = scope_word(level, "conversation", "default", name)
    assert kind_letters(["conversation"]) in scope
    wanted = tsquery(parse_query(case.q))
    bare = "/v1/bare?" + urlencode({"wanted": wanted, "scope": scope, "sort": case.sort})
    our_rate, bare_rate = load.against(ours, bare, rounds=rounds, user=case.user)
    ratio = our_rate.per_second / bare_rate.per_second
    print(f"{case.name + ':':38} {our_rate}; bare SQL {bare_rate}; rate {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
