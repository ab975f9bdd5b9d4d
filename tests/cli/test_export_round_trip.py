"""What an export of lines holds comes back equal: turns, titles, edits, branches, annotations,
times."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from servers import SharedServers

sys.path.append(str(Path(__file__).parents[1] / "projector"))  # for `histories` and `rig`

from histories import APPENDS, SESSIONS
from rig import Rig
from stage import Stage
from truth import COLUMNS

from turnlog_api.exporting import LARGE, Chosen, ExportOptions, export, run
from turnlog_api.exportqueries import Piece
from turnlog_api.exportwork import AsReader
from turnlog_api.scope import Scope
from turnlog_cli.imported import Imported
from turnlog_cli.importing import Counts, Fault
from turnlog_cli.importing_events import EventImporter
from turnlog_cli.lines import Line
from turnlog_producers import AsyncTurnLog
from turnlog_producers.head import Head
from turnlog_projector.parking import list_parked, retry

pytestmark = pytest.mark.integration


class Pair(NamedTuple):
    """An installation, and another one to import into."""

    source: Stage
    target: Stage


@pytest.fixture
def other_redis_url(shared_servers: SharedServers, _redis_numbers: Iterator[int]) -> str:
    url = shared_servers.redis_url(next(_redis_numbers))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def pair(
    redis_url: str, other_redis_url: str, new_postgres_url: Callable[[], str]
) -> Iterator[Pair]:
    rigs = [
        Rig(redis_url, new_postgres_url(), partitions=4),
        Rig(other_redis_url, new_postgres_url(), partitions=2),
    ]
    yield Pair(*(Stage(rig) for rig in rigs))
    for rig in rigs:
        rig.close()


def lines_of(rig: Rig, piece: Piece = LARGE) -> list[bytes]:
    with rig.connection.transaction():
        options, scope = ExportOptions("jsonl"), Scope("default")
        chosen = Chosen(session_ids=tuple(SESSIONS))  # a list would leave out deleted ones
        outputs = run(export(scope, chosen, options, piece), AsReader(rig.connection))
        return b"".join(output.data for output in outputs).splitlines(keepends=True)


async def import_into(rig: Rig, lines: list[bytes]) -> tuple[Counts, list[Fault]]:
    faults: list[Fault] = []
    imported = Imported(rig.redis_url, rig.postgres_url, "default")
    async with AsyncTurnLog.connect(rig.redis_url) as log:
        importer = EventImporter(
            log.session,
            imported,
            tenant="default",
            max_event_bytes=1024 * 1024,
            tell_fault=faults.append,
        )
        for number, text in enumerate(lines, 1):
            await importer.take(Line(number, text))
        await importer.finish()
    imported.close()
    return importer.counts, faults


def shown(stage: Stage) -> dict[str, list[Any]]:
    """Every row of sessions that are not erased, as people see them, without the log's clock."""
    found: dict[str, list[Any]] = {}
    for table in COLUMNS:
        rows = stage.rig.connection.execute(
            sql.SQL(
                "SELECT x.session_id, x.body FROM {} AS x JOIN {} AS s USING (tenant, session_id)"
                " WHERE NOT s.erased ORDER BY 1, 2"
            ).format(
                *(sql.Identifier(f"g{stage.generation()}", name) for name in (table, "sessions"))
            )
        )
        bodies = [(row[0], json.loads(row[1])) for row in rows]
        for _, body in bodies:
            body.pop("recorded_at", None)
        found[table] = sorted(bodies, key=repr)
    return found


def differences(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> list[str]:
    found: list[str] = []
    for table, rows in one.items():
        found += [f"{table} lacks {row}" for row in rows if row not in other[table]]
        found += [f"{table} has {row}" for row in other[table] if row not in rows]
        if len(rows) != len(other[table]):
            found.append(f"{table}: {len(rows)} rows, {len(other[table])} came back")
    return found


_STEPS = st.lists(
    st.one_of(APPENDS, APPENDS, APPENDS, st.tuples(st.sampled_from(["cold", "skip"]), st.none())),
    max_size=12,
)


@settings(
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(steps=_STEPS, items=st.sampled_from([1, 3, 1000]))
def test_any_history_comes_back_equal(pair: Pair, steps: list[Any], items: int) -> None:
    source, target = pair
    source.clear()
    target.clear()
    for first, second in steps:
        if first == "cold":
            make_cold(source)
        elif first == "skip":
            skip_parked(source)
        else:
            source.append(first, second)
    source.rig.drain(source.workers[0])
    lines = lines_of(source.rig, Piece(items, 1_000_000))
    counts, faults = asyncio.run(import_into(target.rig, lines))
    parked = set(parked_sessions(source))
    assert counts.bad_lines == len(faults)
    assert {fault.reason.split()[1].strip(",") for fault in faults} <= parked
    target.rig.drain(target.workers[0])
    target.rig.check()
    assert differences(shown(source), shown(target)) == []

    seqs = heads(target.rig)
    again, _ = asyncio.run(import_into(target.rig, lines))
    assert (again.sessions, again.events, heads(target.rig)) == (0, 0, seqs)
    make_cold(target)
    again, _ = asyncio.run(import_into(target.rig, lines))
    assert (again.sessions, again.events, heads(target.rig)) == (0, 0, seqs)


def heads(rig: Rig) -> dict[str, int]:
    rows = rig.connection.execute("SELECT session_id, seq FROM turnlog.heads").fetchall()
    return dict(rows)


def make_cold(stage: Stage) -> None:
    """Everything is archived, and gone from the streams: as after trimming."""
    rig = stage.rig
    rig.drain(stage.workers[0])
    for session_id in SESSIONS:
        keys = rig.writer.keys(session_id)
        head: Any = rig.client.hget(keys.heads, keys.field)
        if head is not None and not Head.parse(head).erased:
            seq, _, rest = head.decode().split(" ", 2)
            rig.client.hset(keys.heads, keys.field, f"{seq} {seq} {rest}")
            rig.client.delete(keys.stream, keys.ids)


def skip_parked(stage: Stage) -> None:
    stage.rig.drain(stage.workers[0])
    for session_id in parked_sessions(stage):
        retry(stage.workers[0], "default", session_id, skip=True)
        stage.workers[0].reload(range(stage.rig.partitions))


def parked_sessions(stage: Stage) -> list[str]:
    parked = list_parked(stage.rig.connection)
    return [each.session_id for each in parked if each.state == "parked"]
