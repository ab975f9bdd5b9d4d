"""The statements of time travel, of the log and of the trail follow an index: what they cost does
not grow with the session, nor with what is stored beside it."""

from collections.abc import Iterator
from typing import Any, LiteralString

import pytest
from psycopg import Connection
from served import Stage

from turnlog_api import sessionlog, trail
from turnlog_api.logsteps import Places, Span, question
from turnlog_api.queries import Query
from turnlog_api.reading import with_role
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_api.trail import TrailWindow
from turnlog_projector.log import SessionKey

pytestmark = pytest.mark.integration
ME = Scope("default", "u7")
ALL = Scope("default")
LONG = SessionKey(0, "default", "s1")
WHOLE = Scope("default", only_session="s1")


@pytest.fixture
def seeded(stage: Stage) -> Iterator[Connection[Any]]:
    """3,000 sessions, one of them with 20,000 events; as the API connects."""
    stage.connection.execute(
        """
        INSERT INTO g1.sessions
        SELECT 'default', 's' || n, 'u7', 'p', NULL, 'private', false, false, false,
            now(), now(), 3, 4, '{}', 'e', true, false, 0, NULL, 0, NULL, 't2', 1, 0
        FROM generate_series(1, 3000) AS n
        """
    )
    each = """
        FROM generate_series(1, 3000) AS s,
            generate_series(1, CASE WHEN s = 1 THEN 20000 ELSE 5 END) AS n
    """
    few = each.replace("20000", "200")
    for statement in (
        "INSERT INTO turnlog.archive SELECT 0, s * 100000 + n, 'default', 's' || s, n, 'e' || n,"
        f" 1000000 + n * 10, NULL, '\\x00', decode(repeat('61', 300), 'hex') {each}",
        "INSERT INTO turnlog.heads SELECT 0, 'default', 's' || s, 5, 'e5', 0, NULL"
        " FROM generate_series(1, 3000) AS s",
        "INSERT INTO g1.turns SELECT 'default', 's' || s, 't' || n, n, 'main', 'user',"
        f" 'complete', now(), '{{}}' {each}",
        f"INSERT INTO g1.titles SELECT 'default', 's' || s, n, NULL, '{{}}' {few}",
        f"INSERT INTO g1.branches SELECT 'default', 's' || s, 'b' || n, n, '{{}}' {few}",
        f"INSERT INTO g1.turn_revisions SELECT 'default', 's' || s, 't2', n, '{{}}' {few}",
    ):
        stage.connection.execute(statement)  # pyright: ignore[reportArgumentType]
    stage.connection.execute("ANALYZE")
    with Connection.connect(with_role(stage.postgres_url), autocommit=True) as connection:
        yield connection


def plan(
    connection: Connection[Any], text: LiteralString, params: Any, scope: Scope
) -> list[dict[str, Any]]:
    """The nodes of the plan that any parameters get, with how many rows they have read."""
    reader = scope.settings("s1")
    connection.execute(sql("read_as", 0).replace("true", "false"), reader)
    for _ in range(3):
        connection.execute(text, params, prepare=True)
    row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", params).fetchone()
    assert row is not None
    found: list[dict[str, Any]] = []

    def walk(node: dict[str, Any]) -> None:
        found.append(node)
        for child in node.get("Plans", []):
            walk(child)

    walk(row[0][0]["Plan"])
    return found


def plan_of(connection: Connection[Any], query: Query[Any]) -> list[dict[str, Any]]:
    assert query.scope is not None
    return plan(connection, sql(query.name, 1, query.parts), query.params, query.scope)


def rows_read(nodes: list[dict[str, Any]]) -> float:
    """Rows that scans have looked at, those they dropped included."""
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes
        if node["Node Type"].startswith(("Index", "Seq", "Bitmap"))
    )


def indexes(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("first", [1, 10_000, 19_000])
def test_a_span_of_the_log_is_read_by_the_primary_key(
    seeded: Connection[Any], first: int, order: str
) -> None:
    _, _, params = question(LONG, Span(first, first + 900))
    text = sql("log_span", 0, frozenset({order}))
    nodes = plan(seeded, text, params, WHOLE)
    assert indexes(nodes) == {"archive_pkey"}
    assert not [node for node in nodes if "Sort" in node["Node Type"]]
    assert rows_read(nodes) <= 502  # a chunk; window and filter look one further


def test_a_chunk_is_read_no_further_than_its_bytes(seeded: Connection[Any]) -> None:
    _, parts, params = question(LONG, Span(1, 20_000))
    found = seeded.execute(sql("read_as", 0).replace("true", "false"), WHOLE.settings("s1"))
    assert found.rowcount == 1
    text = sql("log_span", 0, parts)
    for size, expected in ((1, 1), (300, 1), (301, 2), (3000, 10), (10**9, 500)):
        rows = seeded.execute(text, {**params, "bytes": size}).fetchall()
        assert [row[0] for row in rows] == list(range(1, expected + 1))


def test_places_of_the_log_are_read_by_the_primary_key(seeded: Connection[Any]) -> None:
    name, parts, params = question(LONG, Places([15_000, 3, 7, 19_999]))
    nodes = plan(seeded, sql(name, 0, parts), params, WHOLE)
    assert indexes(nodes) == {"archive_pkey"}
    assert rows_read(nodes) <= 4
    rows = seeded.execute(sql(name, 0, parts), params).fetchall()
    assert [row[0] for row in rows] == [15_000, 3, 7, 19_999]
    rows = seeded.execute(sql(name, 0, parts), {**params, "bytes": 301}).fetchall()
    assert [row[0] for row in rows] == [15_000, 3]


@pytest.mark.parametrize("seq", [0, 1, 2, 9_999, 19_999, 20_000])
def test_the_event_at_a_time_is_found_by_halving(seeded: Connection[Any], seq: int) -> None:
    params = {**LONG._asdict(), "last": 20_000, "moment": 1_000_009 + seq * 10}
    nodes = plan(seeded, sql("seq_at", 0), params, WHOLE)
    assert indexes(nodes) == {"archive_pkey"}
    assert rows_read(nodes) <= 16
    row = seeded.execute(sql("seq_at", 0), params).fetchone()
    assert row == (seq,)


@pytest.mark.parametrize("scope", [ME, ALL])
def test_a_log_is_opened_by_keys(seeded: Connection[Any], scope: Scope) -> None:
    nodes = plan_of(seeded, sessionlog.standing(scope, LONG, 17_000))
    assert rows_read(nodes) <= 4
    assert indexes(nodes) >= {"archive_pkey", "heads_pkey", "sessions_pkey"}


@pytest.mark.parametrize("scope", [ME, ALL])
def test_the_trail_is_read_by_keys(seeded: Connection[Any], scope: Scope) -> None:
    for after in (0, 150):
        window = TrailWindow(after, 10)
        nodes = plan_of(seeded, trail.titles(scope, "s1", window))
        assert rows_read(nodes) <= 2 + 1 + 11
        assert indexes(nodes) >= {"titles_pkey"}
        nodes = plan_of(seeded, trail.revisions(scope, "s1", "t2", window))
        assert rows_read(nodes) <= 3 + 11
        assert indexes(nodes) >= {"turn_revisions_pkey", "turns_turn_id"}
        nodes = plan_of(seeded, trail.branches(scope, "s1", window))
        assert rows_read(nodes) <= 3 + 200 + 11  # all branches of the session, and no others
        assert indexes(nodes) >= {"branches_pkey", "turns_pkey"}
