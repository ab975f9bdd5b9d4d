"""`turnlog init`: one schema, whichever way it came about; the role of the API only reads it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from rig import Rig

from turnlog_projector import init as init_module
from turnlog_projector.database import check_schema, connect_postgres
from turnlog_projector.errors import NotReady
from turnlog_projector.init import initialise
from turnlog_projector.sqlfiles import migrations

pytestmark = pytest.mark.integration

_SHAPE = """
SELECT n.nspname, c.relname, c.relkind, c.reloptions::text, a.attname,
    format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
    col.collname, a.attidentity
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation AS col ON col.oid = a.attcollation
WHERE n.nspname = 'turnlog' OR n.nspname ~ '^g[0-9]+$'
UNION ALL
SELECT n.nspname, c.relname, 'constraint', NULL, k.conname, pg_get_constraintdef(k.oid), NULL, NULL,
    NULL, NULL
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'turnlog' OR n.nspname ~ '^g[0-9]+$'
UNION ALL
SELECT schemaname, tablename, 'index', NULL, indexname, indexdef, NULL, NULL, NULL, NULL
FROM pg_indexes
WHERE schemaname = 'turnlog' OR schemaname ~ '^g[0-9]+$'
UNION ALL
SELECT table_schema, table_name, 'grant', NULL, grantee, privilege_type, NULL, NULL, NULL, NULL
FROM information_schema.role_table_grants
WHERE grantee = 'turnlog_api' AND (table_schema = 'turnlog' OR table_schema ~ '^g[0-9]+$')
ORDER BY 1, 2, 3, 5, 6
"""


def shape(postgres_url: str) -> list[tuple[object, ...]]:
    """Every column, constraint, index and grant."""
    with connect_postgres(postgres_url) as connection:
        return connection.execute(_SHAPE).fetchall()


def test_initialise_twice_changes_nothing(redis_url: str, postgres_url: str) -> None:
    first = initialise(redis_url, postgres_url)
    before = shape(postgres_url)
    second = initialise(redis_url, postgres_url)
    assert first.applied == [f"{number:04d}_{name}" for number, name, _ in migrations()]
    assert second == first._replace(applied=[])
    assert shape(postgres_url) == before


@pytest.mark.parametrize("applied", range(len(migrations())))
def test_an_upgraded_schema_equals_a_new_one(
    redis_url: str,
    new_postgres_url: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    applied: int,
) -> None:
    """From every earlier release: its migrations first, then the rest."""
    fresh, upgraded = new_postgres_url(), new_postgres_url()
    initialise(redis_url, fresh)
    with connect_postgres(upgraded) as connection, monkeypatch.context() as patch:
        patch.setattr(init_module, "migrations", lambda: migrations()[:applied])
        patch.setattr(init_module, "statement", _without_grants)
        init_module._migrate(connection)  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(NotReady):
            check_schema(connection)
    initialise(redis_url, upgraded)
    assert shape(upgraded) == shape(fresh)


def _without_grants(name: str, **_: object) -> str:
    bootstrap = (
        "CREATE SCHEMA IF NOT EXISTS turnlog; CREATE TABLE IF NOT EXISTS turnlog.migrations"
        " (number integer PRIMARY KEY, name text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    return bootstrap if name == "bootstrap" else "SELECT 1"


def test_many_initialise_the_same_database_at_once(redis_url: str, postgres_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(initialise, [redis_url] * 8, [postgres_url] * 8))
    assert sorted(len(report.applied) for report in reports) == [0] * 7 + [len(migrations())]
    assert {report.log_id for report in reports} == {reports[0].log_id}
    with connect_postgres(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM turnlog.offsets").fetchone() == (64,)
        assert connection.execute(
            "SELECT generation, state FROM turnlog.generations"
        ).fetchall() == [(1, "live")]


def test_many_databases_of_one_server_are_initialised_at_once(
    redis_url: str, new_postgres_url: Callable[[], str]
) -> None:
    """Roles belong to the server, not to a database."""
    urls = [new_postgres_url() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        reports = list(pool.map(initialise, [redis_url] * 6, urls))
    assert len(reports) == 6


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO g1.sessions SELECT * FROM g1.sessions",
        "UPDATE g1.turns SET body = '{}'",
        "DELETE FROM g1.annotations",
        "TRUNCATE g1.titles",
        "DELETE FROM turnlog.archive",
        "UPDATE turnlog.offsets SET n = 0",
        "UPDATE turnlog.active SET generation = 1",
        "UPDATE turnlog.log SET log_id = 'mine'",
        "DELETE FROM turnlog.parked",
        "DELETE FROM turnlog.leases",
        "CREATE TABLE turnlog.mine ()",
        "CREATE TABLE g1.mine ()",
        "DROP TABLE g1.turns",
    ],
)
def test_the_role_of_the_api_writes_nothing(rig: Rig, statement: str) -> None:
    with psycopg.connect(rig.postgres_url, options="-c role=turnlog_api") as connection:
        assert connection.execute("SELECT count(*) FROM g1.sessions").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
