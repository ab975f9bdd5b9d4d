"""What an export asks follows an index: the cost of a piece does not grow with what is stored."""

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection
from served import Stage
from test_plans import plan, rows_read

from turnlog_api.exportqueries import (
    ExportedSession,
    Piece,
    export_events,
    export_session,
    export_sessions,
    export_turns,
)
from turnlog_api.queries import Filters, scoped
from turnlog_api.reading import with_role
from turnlog_api.scope import Scope

pytestmark = pytest.mark.integration
ME = Scope("default", "u7")
ALL = Scope("default")
PIECE = Piece(50, 10_000_000)
LONG = ExportedSession("s7", 20_000, "e", b"{}", 1, None, 1)
NOW = "2026-01-01T00:00:00.000000Z"


@pytest.fixture
def seeded(stage: Stage) -> Iterator[Connection[Any]]:
    """3,000 sessions; one with 20,000 turns and events; 2,000 exports of others."""
    execute = stage.connection.execute
    execute(
        """
        INSERT INTO g1.sessions
        SELECT 'default', 's' || n, 'u' || n % 100, 'p', NULL,
            CASE WHEN n % 1000 = 1 THEN 'tenant' ELSE 'private' END, false, false, false,
            now(), now() - n * interval '1 minute', 3, 4, '{}', 'e', true, false, 0,
            NULL, 0, NULL, 't1', 1, 0
        FROM generate_series(1, 3000) AS n
        """
    )
    execute(
        """
        INSERT INTO g1.turns (tenant, session_id, turn_id, seq, branch_id, role, status, at, body)
        SELECT 'default', 's' || s, 't' || n, n, 'main', 'user', 'complete', now(), '{}'
        FROM generate_series(1, 1000) AS s,
            generate_series(1, CASE WHEN s = 7 THEN 20000 ELSE 3 END) AS n
        """
    )
    execute(
        """
        INSERT INTO turnlog.archive
        SELECT 1, row_number() OVER (), 'default', 's' || s, n, 'e' || n, 1, NULL, '', '{}'
        FROM generate_series(1, 1000) AS s,
            generate_series(1, CASE WHEN s = 7 THEN 20000 ELSE 3 END) AS n
        """
    )
    execute(
        """
        INSERT INTO turnlog.exports (export_id, tenant, owner, requested_by, options, format, state)
        SELECT 'x' || n, 't' || n % 50, 'u' || n % 10, '', '{}', 'csv', 'done'
        FROM generate_series(1, 2000) AS n
        """
    )
    execute("ANALYZE")
    with Connection.connect(with_role(stage.postgres_url), autocommit=True) as connection:
        yield connection


def indexes(nodes: list[dict[str, Any]]) -> set[str | None]:
    return {node.get("Index Name") for node in nodes if "Relation Name" in node}


@pytest.mark.parametrize("scope", [ME, ALL])
@pytest.mark.parametrize("after", [0, 15_000])
@pytest.mark.parametrize("path", [None, (("main", 2**53 - 1),)])
def test_turns_are_read_by_the_primary_key(
    seeded: Connection[Any], scope: Scope, after: int, path: Any
) -> None:
    nodes = plan(seeded, export_turns(scope, LONG._replace(path=path), after, PIECE))
    assert indexes(nodes) == {"active_pkey", "sessions_pkey", "turns_pkey"}
    assert rows_read(nodes) <= 2 + 50


def test_events_are_read_by_the_primary_key(seeded: Connection[Any]) -> None:
    for scope in (ME, ALL):
        for first in (1, 15_000):
            nodes = plan(seeded, export_events(scope, LONG, first, PIECE))
            assert {"archive_pkey", "parked_pkey"} <= indexes(nodes)
            assert rows_read(nodes) <= 2 + 50 * 2


@pytest.mark.parametrize(
    ("scope", "filters", "used"),
    [
        (ALL, Filters(), "sessions_by_tenant"),
        (ALL, Filters(user_id="u7"), "sessions_by_user"),
        (ME, Filters(user_id="u7"), "sessions_by_user"),
        (ALL, Filters(since="2000-01-01T00:00:00.000000Z"), "sessions_by_tenant"),
    ],
)
def test_sessions_are_walked_by_an_index(
    seeded: Connection[Any], scope: Scope, filters: Filters, used: str
) -> None:
    for last in (None, ("2099-01-01T00:00:00.000000Z", "x")):
        nodes = plan(seeded, export_sessions(scope, filters, last, 20))
        assert used in indexes(nodes)
        assert rows_read(nodes) <= 1 + 20 + 1


def test_one_session_is_looked_up(seeded: Connection[Any]) -> None:
    assert rows_read(plan(seeded, export_session(ME, "s7"))) <= 5


def test_exports_of_others_are_not_looked_at(seeded: Connection[Any]) -> None:
    query = scoped(
        "exports_page", Scope("t7", "u7"), frozenset(), lambda _: None, before="~", limit=10
    )
    nodes = plan(seeded, query)
    assert indexes(nodes) == {"exports_of_tenant"}
    assert rows_read(nodes) <= 40
