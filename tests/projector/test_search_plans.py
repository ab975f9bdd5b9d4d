"""Search follows its indexes, as the role of the API asks it: cost follows the hits, not the table;
and what is in every row costs a bounded look at the newest ones."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import psycopg
import pytest
from psycopg import Connection
from psycopg.errors import InsufficientPrivilege
from rig import Rig

from turnlog_schemas.searchquery import parse_query, tsquery

pytestmark = pytest.mark.integration


class Plans(NamedTuple):
    """What a search has found, and the plans of its inner statements that read the table."""

    found: list[tuple[str, int]]
    plans: list[dict[str, Any]]

    @property
    def indexes(self) -> set[str]:
        """The indexes that were used."""
        return {node["Index Name"] for node in self._nodes() if "Index Name" in node}

    @property
    def rows_read(self) -> float:
        """Rows of the tables that were looked at, those dropped included."""
        return sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            for node in self._nodes()
            if "Relation Name" in node
        )

    def _nodes(self) -> Iterator[dict[str, Any]]:
        waiting = list(self.plans)
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.get("Plans", [])


@pytest.fixture
def seeded(rig: Rig) -> Iterator[Connection[Any]]:
    """30,000 turns of 3,000 sessions and 30 users; as the API connects, with the plans told."""
    rig.connection.execute(
        """
        INSERT INTO g1.sessions
        SELECT 'default', 's' || n, 'u' || n % 30, NULL, NULL, 'private', false, false, false,
            now(), now(), 10, 10, '{}', 'e', true, false, 0, NULL, 0, NULL, 't1', 1, 0
        FROM generate_series(0, 2999) AS n;
        INSERT INTO g1.turns
        SELECT 'default', 's' || n / 10, 't' || n, n % 10 + 1, 'main', 'user', 'complete',
            now() - n * interval '1 minute', '{"n":' || n || '}'
        FROM generate_series(0, 29999) AS n;
        INSERT INTO g1.search
        SELECT 'default', 's' || n / 10, n % 10 + 1, now() - n * interval '1 minute',
            ('every:1 word' || n || ':2 '
                || CASE WHEN n % 300 = 7 THEN 'some:3 ' ELSE '' END
                || CASE WHEN n > 25000 THEN 'ancient:4 ' ELSE '' END
                || translate(turnlog.search_scope('t', 'c', 'default', ''), '()', '') || ' '
                || translate(
                    turnlog.search_scope('u', 'c', 'default', 'u' || n / 10 % 30), '()', ''
                )
            )::tsvector
        FROM generate_series(0, 29999) AS n;
        """
    )
    rig.connection.execute("VACUUM ANALYZE")
    with psycopg.connect(rig.postgres_url, autocommit=True) as connection:
        connection.execute("LOAD 'auto_explain'")
        for name, value in (
            ("auto_explain.log_min_duration", "0"),
            ("auto_explain.log_analyze", "on"),
            ("auto_explain.log_nested_statements", "on"),
            ("auto_explain.log_format", "json"),
            ("client_min_messages", "log"),
            ("turnlog.reads", "tenant"),
            ("turnlog.tenant", "default"),
            # As in turnlog_api/reading.py: no other query of the API wants such a plan.
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            ("plan_cache_mode", "force_generic_plan"),
            ("role", "turnlog_api"),
        ):
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        yield connection


def ask(
    connection: Connection[Any], typed: str, *, ranked: bool = True, common: float = 5000.0
) -> Plans:
    """Search, and listen to what is said of it."""
    plans: list[dict[str, Any]] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        message = diagnostic.message_primary or ""
        text = message[message.index("{") :] if "{" in message else "{}"
        plan = cast(dict[str, Any], json.loads(text))
        asked = plan.get("Query Text", "")
        if "g1.search " in asked and "EXPLAIN" not in asked:
            plans.append(plan["Plan"])

    connection.add_notice_handler(note)
    try:
        rows = connection.execute(
            "SELECT session_id, seq FROM g1.search_turns(%s, 'c', NULL, NULL, NULL, NULL, NULL,"
            " NULL, %s, NULL, NULL, NULL, NULL, 21, 1000, %s, 2000)",
            (tsquery(parse_query(typed)), ranked, common),
        ).fetchall()
    finally:
        connection.remove_notice_handler(note)
    return Plans([(row[0], row[1]) for row in rows], plans)


def test_rare_words_are_found_by_their_index(seeded: Connection[Any]) -> None:
    for typed, hits in (
        ("word12345", 1),
        ('"every word777"', 1),
        ("every some", 21),
        ("some -word7 -word307", 21),
        ("word1 or word29999", 2),
        ("nowhere", 0),
        ("every nowhere", 0),
    ):
        for ranked in (True, False):
            asked = ask(seeded, typed, ranked=ranked)
            assert len(asked.found) == hits, typed
            assert asked.indexes == {"search_words"}, typed
            assert asked.rows_read <= 100, typed


def test_what_is_in_every_row_is_looked_for_from_the_newest_on(seeded: Connection[Any]) -> None:
    for typed in ("every", "every -ancient", "every or some", "every -word5"):
        newest = ask(seeded, typed, ranked=False)
        assert newest.indexes == {"search_newest"}, typed
        assert len(newest.found) == 21
        assert newest.rows_read <= 2 * (21 + 20 + 1), typed
        ranked = ask(seeded, typed)
        assert ranked.indexes == {"search_newest"}, typed
        assert len(ranked.found) == 21
        assert ranked.rows_read <= 2 * 1001, typed


def test_what_is_only_in_old_rows_is_found_after_a_bounded_look(seeded: Connection[Any]) -> None:
    asked = ask(seeded, "ancient", ranked=False, common=1000.0)
    assert asked.indexes == {"search_newest", "search_words"}
    assert asked.found[0] == ("s2500", 2)
    assert asked.rows_read <= 2 * 2 * 2000 + 4999


def test_another_user_costs_what_they_have(seeded: Connection[Any]) -> None:
    seeded.execute("SELECT set_config('turnlog.reads', 'user', false)")
    seeded.execute("SELECT set_config('turnlog.user', 'u7', false)")
    asked = ask(seeded, "every ancient")
    assert asked.indexes == {"search_words"}
    assert {int(session_id[1:]) % 30 for session_id, _ in asked.found} == {7}
    assert asked.rows_read <= 5000 / 30 + 20
    seeded.execute("SELECT set_config('turnlog.user', 'nobody', false)")
    assert ask(seeded, "every").found == []


def test_without_a_reader_nothing_is_found(seeded: Connection[Any]) -> None:
    for name in ("turnlog.reads", "turnlog.tenant"):
        seeded.execute("SELECT set_config(%s, '', false)", (name,))
        assert ask(seeded, "every").found == []


def test_the_role_of_the_api_searches_in_no_other_way(rig: Rig) -> None:
    with psycopg.connect(
        rig.postgres_url, autocommit=True, options="-c role=turnlog_api"
    ) as connection:
        for query in (
            "SELECT words FROM g1.search",
            "SELECT g1.search_walk('every', 1, 1)",
            "SELECT g1.search_hits('default', 'x', '-infinity', 'infinity', '', 0, 9, 9, 9, true)",
            "SELECT g1.search_shown('default', 's1', 1, true, '', NULL, NULL)",
            "DELETE FROM turnlog.search_stale",
        ):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(query)  # pyright: ignore[reportArgumentType, reportCallIssue]
