"""What statistics read, as the role of the API asks for them: the index by time and nothing of the
turns themselves; of a few sessions those alone."""

import json
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest
from psycopg import Connection
from served import Stage

pytestmark = pytest.mark.integration

Plan = list[dict[str, Any]]
"""The nodes of the inner statement."""


@pytest.fixture
def seeded(stage: Stage) -> Iterator[Connection[Any]]:
    """100,000 turns of 5,000 sessions, 500 users and 100 days; as the API connects, with the plans
    told."""
    stage.connection.execute(
        """
        INSERT INTO g1.sessions
        SELECT 'default', 's' || n, 'u' || n % 500, 'p' || n % 10, NULL,
            CASE WHEN n % 500 = 1 THEN 'tenant' ELSE 'private' END, false, false, n % 50 = 3,
            now() - n * interval '30 minutes', now() - n * interval '30 minutes', 20, 20,
            repeat('x', 300), 'e', true, false, 0, NULL, 0, NULL, 't1', 1, 0
        FROM generate_series(0, 4999) AS n;
        INSERT INTO g1.turns
        SELECT 'default', 's' || n / 20, 't' || n, n % 20 + 1, 'main', 'assistant', 'complete',
            now() - n / 20 * interval '30 minutes', repeat('x', 300), 'm', 1, 2, 'total', '{3}', 4,
            CASE WHEN n % 50 = 0 THEN '1' END
        FROM generate_series(0, 99999) AS n;
        """
    )
    stage.connection.execute("VACUUM ANALYZE")
    with psycopg.connect(stage.postgres_url, autocommit=True) as connection:
        connection.execute("LOAD 'auto_explain'")
        for name, value in (
            ("auto_explain.log_min_duration", "0"),
            ("auto_explain.log_analyze", "on"),
            ("auto_explain.log_nested_statements", "on"),
            ("auto_explain.log_format", "json"),
            ("client_min_messages", "log"),
            ("turnlog.reads", "tenant"),
            ("turnlog.tenant", "default"),
            # As in turnlog_api/reading.py.
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            ("plan_cache_mode", "force_generic_plan"),
            ("role", "turnlog_api"),
        ):
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        yield connection


def ask(
    connection: Connection[Any],
    *,
    days: int = 90,
    user: str | None = None,
    session: str | None = None,
) -> tuple[int, Plan]:
    """Turns in the last days, and what was read for them."""
    found: Plan = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        message = diagnostic.message_primary or ""
        text = message[message.index("{") :] if "{" in message else "{}"
        told = cast(dict[str, Any], json.loads(text))
        waiting: Plan = [told["Plan"]] if "WITH seen" in told.get("Query Text", "") else []
        while waiting:
            found.append(waiting.pop())
            waiting += found[-1].get("Plans", [])

    connection.add_notice_handler(note)
    try:
        row = connection.execute(
            """
            SELECT turnlog.stats(
                1,
                ARRAY(
                    SELECT now() - n * interval '1 day' FROM generate_series(%(days)s, 1, -1) AS n
                ),
                now() + interval '1 hour',
                ARRAY(SELECT n::text FROM generate_series(1, %(days)s) AS n),
                %(user)s, NULL, %(session)s
            )
            """,
            {"days": days, "user": user, "session": session},
        ).fetchone()
    finally:
        connection.remove_notice_handler(note)
    assert row is not None
    return json.loads("{" + row[0] + "}")["total"]["turns"], found


def rows_read(plan: Plan) -> float:
    """Rows of turns that were looked at, those dropped included."""
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in plan
        if node.get("Relation Name") == "turns"
    )


def test_a_tenant_is_counted_by_the_index_alone(seeded: Connection[Any]) -> None:
    turns, plan = ask(seeded)
    assert 84_000 < turns < 86_000
    by_time = [node for node in plan if node.get("Index Name") == "turns_by_time"]
    assert {node["Node Type"] for node in by_time} == {"Index Only Scan"}
    assert sum(node["Heap Fetches"] for node in by_time) == 0
    assert "turns_rated" in {node.get("Index Name") for node in plan}
    assert "Seq Scan" not in {node["Node Type"] for node in plan}
    # Three times over: turns, tokens, response times; and those that are rated.
    assert rows_read(plan) <= 3 * 86_500 + 2 * 2_000


def test_a_week_costs_a_week(seeded: Connection[Any]) -> None:
    turns, plan = ask(seeded, days=7)
    assert 6_000 < turns < 7_000
    assert rows_read(plan) <= 3 * 6_800 + 2 * 200


@pytest.mark.parametrize("asked", ["reader", "filter", "session"])
def test_a_few_sessions_cost_what_they_hold(seeded: Connection[Any], asked: str) -> None:
    """Ten sessions of a user, one session; ten more are shared with the tenant."""
    user, session, sessions = None, None, 10
    if asked == "reader":
        seeded.execute("SELECT set_config('turnlog.reads', 'user', false)")
        seeded.execute("SELECT set_config('turnlog.user', 'u7', false)")
        sessions = 20
    elif asked == "filter":
        user = "u7"
    else:
        session, sessions = "s7", 1
    turns, plan = ask(seeded, user=user, session=session)
    assert 0 < turns <= 20 * sessions
    # By either index of its key: both begin with tenant and session.
    used = {node["Index Name"] for node in plan if node.get("Relation Name") == "turns"}
    assert used <= {"turns_pkey", "turns_turn_id", "turns_rated"}
    assert rows_read(plan) <= 4 * 2 * 20 * sessions
    assert "Seq Scan" not in {node["Node Type"] for node in plan}
