"""The digest is a matter of the log alone, and whatever is changed in a copy of it is found."""

from typing import Any, LiteralString, cast

import pytest
from histories import APPENDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from rig import Rig, patched
from stage import Stage
from verifying import run_verify

from turnlog_projector import batch as batch_module
from turnlog_projector import copying, following, rebuild, verify_sessions, verify_tasks
from turnlog_projector import projection as projection_module
from turnlog_projector.lines import TABLES

pytestmark = pytest.mark.integration

SLOW = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def stage(rig: Rig) -> Stage:
    """A log that is empty at the start of every example."""
    return Stage(rig)


@settings(SLOW, max_examples=20)
@given(
    appends=st.lists(APPENDS, max_size=25),
    batch=st.sampled_from([1, 3, 2000]),
    large=st.sampled_from([0, 3, 5000]),
    page=st.sampled_from([1, 4, 2000]),
    data=st.data(),
)
def test_the_digest_is_a_matter_of_the_log_alone(
    stage: Stage, appends: list[Any], batch: int, large: int, page: int, data: st.DataObject
) -> None:
    stage.clear()
    for session_id, events in appends:
        stage.append(session_id, events)
    with (
        patched(projection_module, "MAX_BATCH_EVENTS", batch),
        patched(batch_module, "LARGE_BATCH_EVENTS", batch),
    ):
        stage.rig.drain(stage.workers[0])
    digest = run_verify(stage.rig)[0].digest
    with (
        patched(rebuild, "LARGE_SESSION_EVENTS", large),
        patched(copying, "LARGE_SESSION_BYTES", 10**6 if large else 2000),
        patched(following, "CHUNK_EVENTS", batch),
    ):
        stage.replay()
    with (
        patched(verify_tasks, "PAGE_EVENTS", page),
        patched(verify_tasks, "LARGE_SESSION_EVENTS", large),
        patched(verify_sessions, "PAGE_BYTES", 10**7 if large else 3000),
    ):
        for generation in (stage.generation(), stage.generation() - 1):
            report, found = run_verify(stage.rig, generation=generation)
            assert (found, report.digest, report.expected) == ([], digest, digest)
        stage.rig.connection.execute("CREATE SCHEMA IF NOT EXISTS aside")
        _change_anything(stage, data, digest)


def _change_anything(stage: Stage, data: st.DataObject, digest: str) -> None:
    """Change one column of one row, or take a row away, or put one twice; then undo it."""
    connection, generation = stage.rig.connection, stage.generation()
    tables = [
        table
        for table in TABLES
        if connection.execute(
            cast(LiteralString, f"SELECT FROM g{generation}.{table} LIMIT 1")
        ).fetchone()
    ]
    if not tables:
        return
    table = sql.Identifier(f"g{generation}", data.draw(st.sampled_from(tables)))
    name = table._obj[1]  # pyright: ignore[reportPrivateUsage]
    column = data.draw(st.sampled_from([*TABLES[name].columns[2:], "row"]))
    with connection.transaction(force_rollback=False):
        connection.execute(sql.SQL("CREATE TABLE aside.copy AS TABLE {}").format(table))
    row = sql.SQL("(SELECT ctid FROM {} ORDER BY md5({}::text), ctid LIMIT 1)").format(
        table, sql.Identifier(name)
    )
    if column == "row":
        change = sql.SQL("DELETE FROM {} WHERE ctid = {}").format(table, row)
    else:
        change = sql.SQL("UPDATE {} SET {} = {} WHERE ctid = {}").format(
            table, sql.Identifier(column), _another(stage, name, column), row
        )
    try:
        connection.execute(change)
        report, found = run_verify(stage.rig)
        assert found, f"{name}.{column} was changed and not found"
        assert report.digest != digest == report.expected
    finally:
        connection.execute(sql.SQL("TRUNCATE {}").format(table))
        connection.execute(sql.SQL("INSERT INTO {} TABLE aside.copy").format(table))
        connection.execute("DROP TABLE aside.copy")
    assert run_verify(stage.rig)[0].digest == digest


def _another(stage: Stage, table: str, column: str) -> sql.Composable:
    """An expression for a value that the column does not have."""
    row = stage.rig.connection.execute(
        "SELECT data_type FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s AND column_name = %s",
        (f"g{stage.generation()}", table, column),
    ).fetchone()
    assert row is not None
    changes: dict[str, LiteralString] = {
        "text": "coalesce({}, '') || E'\\t'",
        "boolean": "NOT {}",
        "bigint": "{} + 1000000",
        "timestamp with time zone": "{} + interval '1 microsecond'",
    }
    return sql.SQL(changes[row[0]]).format(sql.Identifier(column))
