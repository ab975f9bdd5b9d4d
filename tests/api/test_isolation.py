"""Row-level security: what Postgres shows the role of the API when a statement forgets to ask whose
the rows are. Every statement here reads a whole table."""

from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import psycopg
import pytest
from appending import event, turn
from psycopg import Connection
from served import Stage

from turnlog_api.reading import with_role
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_projector import init as init_module
from turnlog_projector.init import create_generation, initialise
from turnlog_projector.sqlfiles import statement

pytestmark = pytest.mark.integration

Rows = set[tuple[str, str]]
READ_MODELS = ("sessions", "turns", "branches", "titles", "turn_revisions", "annotations")
LOG = ("turnlog.archive", "turnlog.heads")
OPERATORS = {"turnlog.generations"}
"""Tables that name a tenant for operators alone, and hold nothing that people wrote."""
_TENANTED = """
SELECT n.nspname || '.' || c.relname, c.relrowsecurity
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped
WHERE (n.nspname = 'turnlog' OR n.nspname ~ '^g[0-9]+$') AND c.relkind IN ('r', 'p')
"""


@pytest.fixture
def people(stage: Stage) -> Stage:
    """Two tenants; in the first one a private session of ann and bob each, and one bob shows."""
    for tenant, session_id, user, visibility in (
        ("one", "anns", "ann", "private"),
        ("one", "bobs", "bob", "private"),
        ("one", "shown", "bob", "tenant"),
        ("two", "anns", "ann", "private"),
    ):
        writer = stage.writer(tenant)
        about = {"user_id": user, "visibility": visibility, "title": session_id}
        rating = {"turn_id": "t", "kind": "rating", "value": 1, "by": user}
        events = (
            event("session.started", about),
            turn("t", "a"),
            event("turn.edited", {"turn_id": "t", "content": "b"}),
            event("turn.annotated", rating),
            turn("u", "c", parent_turn_id=None),
        )
        writer.append(session_id, *events, owner=user)
    stage.project()
    return stage


@pytest.fixture
def role(people: Stage) -> Iterator[Connection[Any]]:
    """A connection as the API's own."""
    with Connection.connect(with_role(people.postgres_url), autocommit=True) as connection:
        yield connection


def seen(connection: Connection[Any], table: str, scope: Scope | None, named: str = "") -> Rows:
    """Whose rows of a whole table a reader sees."""
    with connection.transaction():
        if scope is not None:
            connection.execute(sql("read_as", 0), scope.settings(named))
        rows = connection.execute(f"SELECT tenant, session_id FROM {table}")  # pyright: ignore[reportArgumentType]
        return set(rows.fetchall())


ALL_OF_ONE = {("one", "anns"), ("one", "bobs"), ("one", "shown")}
READERS: list[tuple[Scope | None, Rows]] = [
    (None, set()),
    (Scope("one", "ann"), {("one", "anns"), ("one", "shown")}),
    (Scope("one", "bob"), {("one", "bobs"), ("one", "shown")}),
    (Scope("one", "eve"), {("one", "shown")}),
    (Scope("one"), ALL_OF_ONE),
    (Scope("two", "ann"), {("two", "anns")}),
    (Scope("two"), {("two", "anns")}),
    (Scope("three"), set()),
    (Scope("one", only_session="bobs"), {("one", "bobs")}),
    (Scope("two", only_session="bobs"), set()),
]


@pytest.mark.parametrize("table", READ_MODELS)
def test_a_read_model_shows_what_its_reader_may_see(role: Connection[Any], table: str) -> None:
    for scope, allowed in READERS:
        assert seen(role, f"g1.{table}", scope) == allowed, scope
    for named in ("anns", "bobs", "shown", "none"):
        scope, allowed = READERS[1]
        assert seen(role, f"g1.{table}", scope, named) == allowed, f"naming {named}"


@pytest.mark.parametrize("table", LOG)
def test_the_log_is_shown_to_a_tenant_or_by_session_alone(
    role: Connection[Any], table: str
) -> None:
    for scope, allowed in READERS:
        if scope is not None and scope.user_id is not None:
            allowed = set[tuple[str, str]]()
        assert seen(role, table, scope) == allowed, scope


def test_what_was_said_of_a_reader_ends_with_the_transaction(role: Connection[Any]) -> None:
    assert seen(role, "g1.turns", Scope("one"))
    assert seen(role, "g1.turns", None) == set()
    assert role.execute("SELECT current_setting('turnlog.tenant')").fetchone() == ("",)


def test_a_reader_cannot_be_half_said(role: Connection[Any]) -> None:
    settings = Scope("one", "ann").settings()
    for left_out in ("reads", "tenant", "user"):
        with role.transaction():
            role.execute(sql("read_as", 0), settings | {left_out: ""})
            rows = role.execute("SELECT session_id FROM g1.turns").fetchall()
        assert {row[0] for row in rows} == ({"shown"} if left_out == "user" else set())


def tenanted(connection: Connection[Any]) -> dict[str, bool]:
    """Tables with a column `tenant` -> whether row-level security is on."""
    rows = connection.execute(_TENANTED)
    return {row[0]: row[1] for row in rows if row[0] not in OPERATORS}


def test_every_table_that_names_a_tenant_has_policies(stage: Stage) -> None:
    tables = tenanted(stage.connection)
    assert {f"g1.{table}" for table in READ_MODELS} | set(LOG) <= tables.keys()
    assert [table for table, guarded in tables.items() if not guarded] == []


def test_a_new_generation_has_policies(people: Stage) -> None:
    number = create_generation(people.connection, state="building")
    people.connection.execute(f"INSERT INTO g{number}.sessions SELECT * FROM g1.sessions")  # pyright: ignore[reportArgumentType]
    people.connection.execute(f"INSERT INTO g{number}.turns SELECT * FROM g1.turns")  # pyright: ignore[reportArgumentType]
    with Connection.connect(with_role(people.postgres_url), autocommit=True) as connection:
        for scope, allowed in READERS:
            assert seen(connection, f"g{number}.turns", scope) == allowed, scope


def test_generations_of_earlier_releases_get_policies(
    redis_url: str, new_postgres_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_postgres_url()
    with monkeypatch.context() as patch:
        patch.setattr(init_module, "statement", _without_guard)
        initialise(redis_url, url)
    with psycopg.connect(url, autocommit=True) as connection:
        assert not tenanted(connection)["g1.turns"]
        initialise(redis_url, url)
        assert all(tenanted(connection).values())
        before = _policies(connection)
        initialise(redis_url, url)
        assert _policies(connection) == before


def _without_guard(name: str, **options: Any) -> str:
    if name == "generation_guard":
        return "SELECT 1"
    if name == "unguarded_generations":
        return "SELECT 1 WHERE false"
    return statement(name, **options)


def _policies(connection: Connection[Any]) -> list[Any]:
    return connection.execute("SELECT * FROM pg_policies ORDER BY 1, 2, 3").fetchall()


def test_statements_that_read_read_models_ask_whose_they_are() -> None:
    asked_before = {
        "stored_filters": "a strong read has decided from the session that it folded",
        "stored_turns": "the same",
        "stored_count": "the same",
        "status": "sizes and totals, no rows",
        "sessions_of_user": "for operators, who erase a user of their tenant",
        "search": "asks a function of the database, which asks whose the sessions are",
        "projected": "seqs alone, for those who have written or may read the session",
    }
    folder = resources.files("turnlog_api") / "sql"
    for file in folder.iterdir():
        name, text = file.name.removesuffix(".sql"), file.read_text("utf-8")
        if "{g}." in text and name not in asked_before:
            assert "{seen}" in text or "{session_filters}" in text, name
