"""One statement in one round trip, with who asks it: what is sent, kept, and forgotten."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, LiteralString, cast

import psycopg
import pytest
from psycopg import pq
from served import Stage

from turnlog_api import asking
from turnlog_api.asking import Pooled, ask, begin, end
from turnlog_api.reading import with_role
from turnlog_api.rows import Rows
from turnlog_api.scope import Scope

pytestmark = pytest.mark.integration
WHO: LiteralString = (
    "SELECT current_setting('turnlog.reads', true), current_setting('turnlog.tenant', true), "
    "current_setting('turnlog.user', true), current_setting('turnlog.session', true)"
)


@pytest.fixture
async def connection(stage: Stage) -> AsyncIterator[Pooled]:
    made = await Pooled.connect(with_role(stage.postgres_url), autocommit=True)
    yield made
    await made.close()


def texts(rows: Rows, columns: int) -> list[str | None]:
    return [rows.text(0, column) for column in range(columns)]


async def test_the_statement_runs_as_its_reader(connection: Pooled) -> None:
    for scope, params, expected in (
        (Scope("t", "ü"), {}, ["user", "t", "ü", ""]),
        (Scope("t", "u"), {"session_id": "s"}, ["user", "t", "u", "s"]),
        (Scope("t"), {"session_id": "s"}, ["tenant", "t", "", "s"]),
        (Scope("t", only_session="s"), {"session_id": "x"}, ["session", "t", "", "s"]),
        (Scope("t", "u", "s"), {}, ["session", "t", "u", "s"]),
    ):
        assert texts(await ask(connection, WHO, params, scope), 4) == expected
        assert not any(texts(await ask(connection, WHO), 4))


async def test_parameters_stand_where_they_are_named(connection: Pooled) -> None:
    query = "SELECT %(b)s::text || %(a)s || %(b)s, 7 %% %(n)s::int, %(list)s::text[]"
    params = {"a": "x", "b": "%s' \\ é", "n": 4, "list": ['"', "}", None], "unused": 1}
    rows = await ask(connection, query, params)
    assert texts(rows, 3) == ["%s' \\ éx%s' \\ é", "3", '{"\\"","}",NULL}']


async def test_a_statement_is_prepared_once(connection: Pooled) -> None:
    for number in range(5):
        await ask(connection, "SELECT %(n)s::bigint", {"n": number}, Scope("t"))
    assert len(connection.prepared) == 2
    rows = await connection.execute("SELECT count(*) FROM pg_prepared_statements")
    assert await rows.fetchone() == (2,)


async def test_statements_that_were_not_used_for_long_are_forgotten(
    connection: Pooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_MAX_PREPARED", 4)
    for number in [*range(10), 0, 9]:
        query = cast(LiteralString, f"SELECT {number}")
        assert (await ask(connection, query, scope=Scope("t"))).number(0, 0) == number
    assert len(connection.prepared) == 4
    rows = await connection.execute("SELECT count(*) FROM pg_prepared_statements")
    assert await rows.fetchone() == (4,)


@pytest.mark.parametrize(
    ("query", "params", "error"),
    [
        ("SELECT nothing", {}, psycopg.errors.UndefinedColumn),
        ("SELECT FROM", {"x": 1}, psycopg.errors.SyntaxError),
        ("SELECT 1 / %(n)s::int", {"n": 0}, psycopg.errors.DivisionByZero),
        ("SELECT * FROM g99.turns", {}, psycopg.errors.UndefinedTable),
    ],
)
async def test_an_error_leaves_nothing_behind(
    connection: Pooled, query: LiteralString, params: dict[str, Any], error: type[Exception]
) -> None:
    for _ in range(2):
        with pytest.raises(error):
            await ask(connection, query, params, Scope("t", "u"))
        assert connection.info.transaction_status is pq.TransactionStatus.IDLE
        assert not any(texts(await ask(connection, WHO), 4))
        assert texts(await ask(connection, WHO, {}, Scope("t")), 2) == ["tenant", "t"]


async def test_a_parameter_that_is_missing_is_a_fault_before_anything_is_sent(
    connection: Pooled,
) -> None:
    with pytest.raises(KeyError):
        await ask(connection, "SELECT %(n)s::int", {"m": 1}, Scope("t"))
    assert (await ask(connection, "SELECT 1")).number(0, 0) == 1


async def test_a_request_that_is_broken_off_leaves_no_answer_for_the_next(
    connection: Pooled,
) -> None:
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await ask(connection, "SELECT pg_sleep(30)", {}, Scope("t", "u"))
        if connection.closed:
            return
        assert connection.info.transaction_status is pq.TransactionStatus.IDLE
        assert (await ask(connection, "SELECT 7")).number(0, 0) == 7


async def test_a_snapshot_reads_as_its_reader_until_it_ends(connection: Pooled) -> None:
    await ask(connection, "SELECT 1", {}, Scope("t"))
    await begin(connection, Scope("t", only_session="s"))
    rows = await (await connection.execute(WHO)).fetchone()
    assert rows == ("session", "t", "", "s")
    await end(connection)
    assert not any(texts(await ask(connection, WHO), 4))
    assert (await ask(connection, "SELECT 1", {}, Scope("t"))).number(0, 0) == 1


async def test_a_snapshot_that_failed_is_closed(connection: Pooled) -> None:
    await begin(connection, Scope("t"))
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await connection.execute("SELECT nothing")
    await end(connection)
    assert connection.closed
