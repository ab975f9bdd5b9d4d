"""The queries of every page follow an index: their cost does not grow with what is stored."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection
from psycopg.errors import InsufficientPrivilege
from served import Stage

from turnlog_api import queries
from turnlog_api.queries import Filters, Query, Window
from turnlog_api.reading import with_role
from turnlog_api.scope import Scope
from turnlog_api.statements import sql

pytestmark = pytest.mark.integration
ME = Scope("default", "u7")
ALL = Scope("default")


@pytest.fixture
def seeded(stage: Stage) -> Iterator[Connection[Any]]:
    """10,000 sessions, one of them with 20,000 turns and branches; as the API connects."""
    stage.connection.execute(
        """
        INSERT INTO g1.sessions
        SELECT 'default', 's' || n, 'u' || n % 100, 'p', NULL,
            CASE WHEN n % 1000 = 1 THEN 'tenant' ELSE 'private' END, false, false, false,
            now(), now() - n * interval '1 minute', 3, 4, '{}', 'e', true, false, 0,
            NULL, 0, NULL, 't1', 1, 0
        FROM generate_series(1, 10000) AS n
        """
    )
    stage.connection.execute(
        """
        INSERT INTO g1.turns
        SELECT 'default', 's' || s, 't' || n, n, 'main', 'user', 'complete', now(), '{}'
        FROM generate_series(1, 3000) AS s,
            generate_series(1, CASE WHEN s = 1 THEN 20000 ELSE 3 END) AS n
        """
    )
    stage.connection.execute("ANALYZE")
    with Connection.connect(with_role(stage.postgres_url), autocommit=True) as connection:
        yield connection


def plan(connection: Connection[Any], query: Query[Any]) -> list[dict[str, Any]]:
    """The nodes of the plan that any parameters get, with how many rows they have read."""
    text = sql(query.name, 1, query.parts)
    if query.scope is not None:
        reader = query.scope.settings(query.params.get("session_id", ""))
        connection.execute(sql("read_as", 0).replace("true", "false"), reader)
    for _ in range(3):
        connection.execute(text, query.params, prepare=True)
    row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", query.params).fetchone()
    assert row is not None
    found: list[dict[str, Any]] = []

    def walk(node: dict[str, Any]) -> None:
        found.append(node)
        for child in node.get("Plans", []):
            walk(child)

    walk(row[0][0]["Plan"])
    return found


def rows_read(nodes: list[dict[str, Any]]) -> float:
    """Rows that scans have looked at, those they dropped included."""
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes
        if node["Node Type"].startswith(("Index", "Seq", "Bitmap"))
    )


@pytest.mark.parametrize("scope", [ME, ALL])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("session_id", ["s1", "s2001"])
def test_a_page_of_turns_is_read_by_the_primary_key(
    seeded: Connection[Any], scope: Scope, descending: bool, session_id: str
) -> None:
    window = Window(descending=descending, limit=10)
    nodes = plan(seeded, queries.turns_page(scope, session_id, window))
    used = {node.get("Index Name") for node in nodes if "Relation Name" in node}
    assert used == {"active_pkey", "sessions_pkey", "turns_pkey"}
    assert not [node for node in nodes if node["Node Type"] == "Sort"], json.dumps(nodes)
    assert rows_read(nodes) <= 2 + 10 + 1


def test_the_end_of_a_long_session_costs_what_its_start_does(seeded: Connection[Any]) -> None:
    for window in (
        Window(limit=10),
        Window(limit=10, descending=True),
        Window(limit=10, after=15_000),
        Window(limit=10, descending=True, before=15_000),
    ):
        assert rows_read(plan(seeded, queries.turns_page(ALL, "s1", window))) <= 13


@pytest.mark.parametrize(
    ("scope", "filters", "index"),
    [
        (ALL, Filters(), "sessions_by_tenant"),
        (ALL, Filters(user_id="u7"), "sessions_by_user"),
        (ME, Filters(user_id="u7"), "sessions_by_user"),
        (ALL, Filters(since="2000-01-01T00:00:00.000000Z"), "sessions_by_tenant"),
    ],
)
def test_a_page_of_sessions_is_read_by_an_index(
    seeded: Connection[Any], scope: Scope, filters: Filters, index: str
) -> None:
    nodes = plan(seeded, queries.sessions_page(scope, filters, limit=20))
    used = {node.get("Index Name") for node in nodes if "Relation Name" in node}
    assert used == {"active_pkey", index}
    assert rows_read(nodes) <= 1 + 21


def test_one_session_is_read_by_its_key(seeded: Connection[Any]) -> None:
    assert rows_read(plan(seeded, queries.session(ME, "s7"))) <= 2


def test_the_role_cannot_write(stage: Stage) -> None:
    with Connection.connect(with_role(stage.postgres_url), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        for table in ("g1.sessions", "g1.turns", "turnlog.archive", "turnlog.active"):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(f"DELETE FROM {table}")  # pyright: ignore[reportArgumentType]
