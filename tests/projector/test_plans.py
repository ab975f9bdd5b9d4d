"""The projector's frequent queries stay on their indexes, however many rows there are."""

import json
from collections.abc import Iterator
from typing import Any, LiteralString, cast

import psycopg
import pytest
import redis
from rig import Rig
from servers import SharedServers

from turnlog_projector.database import Database
from turnlog_projector.sqlfiles import statement

pytestmark = pytest.mark.integration

SESSIONS, EVENTS, PARTITIONS = 20_000, 4, 4

_SEED = """
INSERT INTO turnlog.heads (partition, tenant, session_id, seq, event_id, recorded_at)
SELECT s % %(partitions)s, 'default', 's' || s, %(events)s, 'e' || s || '-' || %(events)s, 1
FROM generate_series(1, %(sessions)s) AS s;
INSERT INTO turnlog.archive
    (partition, pos, tenant, session_id, seq, event_id, recorded_at, hash, bytes)
SELECT s % %(partitions)s,
    row_number() OVER (PARTITION BY s % %(partitions)s ORDER BY e, s),
    'default', 's' || s, e, 'e' || s || '-' || e, 1, '', convert_to(repeat('x', 300), 'UTF8')
FROM generate_series(1, %(sessions)s) AS s, generate_series(1, %(events)s) AS e;
INSERT INTO turnlog.archive
    (partition, pos, tenant, session_id, seq, event_id, recorded_at, hash, bytes)
SELECT 0, 1000000 + e, 'default', 'long', e, 'long-' || e, 1, '', '{}'
FROM generate_series(1, 50000) AS e;
INSERT INTO turnlog.trim_marks (partition, at, pos, n)
SELECT p, now() - make_interval(hours => h), 900 - h, 900 - h
FROM generate_series(0, %(partitions)s - 1) AS p, generate_series(0, 840) AS h;
INSERT INTO turnlog.erasures
    (partition, tenant, session_id, turn_id, seq, events, seqs, redis_done_at, files_done_at, files)
SELECT s % %(partitions)s, 'default', 's' || s, CASE WHEN s % 3 = 0 THEN 't' ELSE '' END, 4, 1,
    '{1}', now(), now() - interval '1 day', 'rewritten'
FROM generate_series(1, %(sessions)s, 2) AS s;
INSERT INTO g1.sessions
SELECT 'default', 's' || s, 'u', 'p', 't', 'private', false, false, false, now(), now(), 1,
    %(events)s, repeat('x', 500), 'e', true, false, 0, NULL, 0, NULL, NULL, 1, 0
FROM generate_series(1, %(sessions)s) AS s;
INSERT INTO g1.turns
SELECT 'default', 's' || s, 't' || s || '-' || e, e, 'main', 'user', 'complete', now(),
    repeat('x', 500)
FROM generate_series(1, %(sessions)s) AS s, generate_series(1, %(events)s) AS e;
"""


@pytest.fixture(scope="module")
def seeded(shared_servers: SharedServers) -> Iterator[Database]:
    """20,000 short sessions and one of 50,000 events, analysed; these tests only read."""
    with psycopg.connect(shared_servers.postgres_url("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE plans")
        redis_url = shared_servers.redis_url(0)
        redis.Redis.from_url(redis_url).flushdb()
        rig = Rig(redis_url, shared_servers.postgres_url("plans"))
        text = _SEED
        for name, value in (("partitions", 4), ("sessions", SESSIONS), ("events", EVENTS)):
            text = text.replace(f"%({name})s", str(value))
        rig.connection.execute(cast(LiteralString, text))
        rig.connection.execute("ANALYZE")
        yield rig.connection
        rig.close()
        admin.execute("DROP DATABASE plans WITH (FORCE)")


def plan(connection: Database, name: str, params: Any) -> dict[str, Any]:
    """The plan of a statement, as it runs."""
    query = "EXPLAIN (FORMAT JSON, ANALYZE, BUFFERS) " + statement(name, generation=1)
    row = connection.execute(query, params).fetchone()
    assert row is not None
    found: Any = row[0] if not isinstance(row[0], str) else json.loads(row[0])
    return found[0]["Plan"]


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan node and all below it."""
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


def check(node: dict[str, Any], *indexes: str) -> None:
    """It reads by these indexes, and no table from end to end."""
    kinds = {each["Node Type"] for each in nodes(node)}
    used = {each["Index Name"] for each in nodes(node) if "Index Name" in each}
    assert "Seq Scan" not in kinds, node
    assert used == set(indexes), node


COUNT = 200
NEWEST = {"upto": 4, "count": 5, "size": 10**6, "trim_after": 10**7}


def test_load_heads(seeded: Database) -> None:
    keys = [(s % PARTITIONS, "default", f"s{s}") for s in range(1, COUNT)]
    params = [list(column) for column in zip(*keys, strict=True)]
    check(plan(seeded, "load_heads", [*params, 4096]), "heads_pkey", "sessions_pkey")
    check(plan(seeded, "load_archived", params), "heads_pkey")


def test_load_turns(seeded: Database) -> None:
    keys = [("default", f"s{s}", f"t{s}-3") for s in range(1, COUNT)]
    params = [list(column) for column in zip(*keys, strict=True)]
    check(plan(seeded, "load_turns", [1_000_000, *params]), "turns_turn_id")


@pytest.mark.parametrize("count", [1, 50, 2000])
def test_known_event_ids_of_a_long_session(seeded: Database, count: int) -> None:
    """Most sessions are short; in a long one the events of the session must not be read for each
    id that is asked for."""
    ids = [f"long-{number * 20}" for number in range(1, count + 1)]
    params = [[0] * count, ["default"] * count, ["long"] * count, ids]
    found = plan(seeded, "known_event_ids", params)
    assert found["Actual Rows"] == count
    assert found["Shared Hit Blocks"] + found["Shared Read Blocks"] < 3000 + 20 * count, found


def test_archived_at(seeded: Database) -> None:
    keys = [(s % PARTITIONS, "default", f"s{s}", 3) for s in range(1, COUNT)]
    params = [list(column) for column in zip(*keys, strict=True)]
    check(plan(seeded, "archived_at", params), "archive_pkey")


@pytest.mark.parametrize("which", ["short", "long"])
def test_trim_next(seeded: Database, which: str) -> None:
    """However long a session and however much of it is old enough: 500 events are read."""
    names = ["long"] if which == "long" else [f"s{s}" for s in range(4, COUNT * 4, 4)]
    seq = 50_000 if which == "long" else EVENTS
    params = {
        "partition": 0,
        "archived": 10**9,
        "quiet": 10**9,
        "keep": 1,
        "count": 500,
        "tenants": ["default"] * len(names),
        "sessions": names,
        "bases": [0] * len(names),
        "seqs": [seq] * len(names),
        "event_ids": [f"long-{seq}" if which == "long" else f"e{n[1:]}-{seq}" for n in names],
    }
    found = plan(seeded, "trim_next", params)
    check(found, "archive_pkey")
    assert found["Actual Rows"] == len(names)
    assert found["Shared Hit Blocks"] + found["Shared Read Blocks"] < 20 * len(names) + 600, found


def test_archived_since(seeded: Database) -> None:
    """A flip reads with the offsets locked what came last in each partition, and that alone."""
    limits = {"count": 2000, "size": 10**7}
    params = {"partitions": [1, 2], "after": [500, 10], "upto": [700, 50]}
    check(plan(seeded, "archived_since", {**params, **limits}), "archive_pos")
    ends = {"partitions": [1, 2, 3], "after": [19_900] * 3, "upto": [20_000] * 3}
    found = plan(seeded, "archived_since", {**ends, **limits})
    check(found, "archive_pos")
    assert found["Actual Rows"] == 300
    assert found["Shared Hit Blocks"] + found["Shared Read Blocks"] < 3000, found


def test_archived_partition_streams_without_a_sort_of_its_bytes(seeded: Database) -> None:
    """A replay reads a whole partition: in the order of an index, or by a scan of that partition,
    but it must not sort what it reads through temporary files."""
    params = {
        "partition": 1,
        "pos": 10**9,
        "until": None,
        "large": 65536,
        "tenants": ["default"],
        "sessions": ["s1"],
    }
    seeded.execute("SET cursor_tuple_fraction = 0.1")
    found = plan(seeded, "archived_partition", params)
    assert all(each.get("Sort Space Type") != "Disk" for each in nodes(found)), found


@pytest.mark.parametrize(
    ("name", "params", "index"),
    [
        ("archived_events", {"first": 3, "count": 10}, "archive_pkey"),
        ("archived_ids", {"first": 3, "last": 10}, "archive_pkey"),
        ("newest_archived", NEWEST, "archive_pkey trim_marks_pkey"),
    ],
)
def test_events_of_one_session(
    seeded: Database, name: str, params: dict[str, int], index: str
) -> None:
    where = {"partition": 1, "tenant": "default", "session_id": "s1"}
    check(plan(seeded, name, {**where, **params}), *index.split())


def test_archived_sessions_after(seeded: Database) -> None:
    params = {"partition": 1, "tenant": "default", "session_id": "s5", "count": 50}
    check(plan(seeded, "archived_sessions_after", params), "heads_pkey")


def test_visible_before(seeded: Database) -> None:
    params = {
        "tenant": "default",
        "session_id": "s1",
        "floor": 0,
        "seq": 10,
        "known": ["t1-9", "t1-8"],
    }
    check(plan(seeded, "load_visible_before", params), "turns_pkey")


def test_erasures(seeded: Database) -> None:
    one = {"partition": 1, "tenant": "default", "session_id": "s101"}
    check(plan(seeded, "erasures_of_session", one), "erasures_pkey")
    pending = {"partitions": [0, 1, 2, 3], "count": 200}
    check(plan(seeded, "pending_erasures", pending), "erasures_in_redis")
    page = {**one, "turn_id": "", "count": 200}
    check(plan(seeded, "done_erasures_after", page), "erasures_pkey")
    check(plan(seeded, "erasures_in_files", {"between": 10.0}), "erasures_in_files")
    keys = [(s % PARTITIONS, "default", f"s{s}", "") for s in range(1, COUNT)]
    params = [list(column) for column in zip(*keys, strict=True)]
    used = {"erasures_pkey", "archive_pkey", "positions_pkey"}
    found = plan(seeded, "erasure_states", params)
    assert {each["Index Name"] for each in nodes(found) if "Index Name" in each} <= used


def test_idle_sessions(seeded: Database) -> None:
    where = {"partition": 1, "after_tenant": "default", "after_session": "s101", "before": 2}
    found = plan(seeded, "idle_sessions", {**where, "tenant": None, "count": 50})
    check(found, "heads_pkey", "erasures_pkey")


KEYS = {"tenants": ["default"] * 20, "sessions": [f"s{number}" for number in range(1, 21)]}
BEHIND = {"tenant": "default", "session_id": "s5"}


@pytest.mark.parametrize(
    ("name", "params", "index"),
    [
        ("verify_heads", {"partition": 1, **BEHIND, "count": 20}, "heads_pkey"),
        ("verify_heads_of", {"partition": 1, **KEYS}, "heads_pkey"),
        ("verify_archive_of", {"partition": 1, "large": 65536, **KEYS}, "archive_pkey"),
        (
            "verify_archive",
            {
                "partition": 1,
                "large": 65536,
                **BEHIND,
                "last_tenant": "default",
                "last_session": "s50",
            },
            "archive_pkey",
        ),
        (
            "seq_until",
            {"partition": 1, **BEHIND, "until": 10**13},
            "archive_pkey",
        ),
    ],
)
def test_what_verification_reads_of_the_log(
    seeded: Database, name: str, params: dict[str, Any], index: str
) -> None:
    check(plan(seeded, name, params), index)


def test_sizes_of_turns(seeded: Database) -> None:
    found = plan(seeded, "sizes_of_turns", list(KEYS.values()))
    assert "Seq Scan" not in {each["Node Type"] for each in nodes(found)}, found


@pytest.mark.parametrize("table", ["sessions", "turns"])
def test_what_verification_reads_of_a_generation(seeded: Database, table: str) -> None:
    found = plan(seeded, f"lines_of_{table}", list(KEYS.values()))
    scans = [each for each in nodes(found) if each.get("Relation Name") == table]
    assert {each["Node Type"] for each in scans} <= {"Index Scan", "Bitmap Heap Scan"}, found
