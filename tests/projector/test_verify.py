"""Verify finds nothing where read models equal the log, and everything where they do not."""

from typing import LiteralString, cast

import pytest
from appending import event, poison, turn
from rig import Rig, patched
from verifying import places, run_verify

from turnlog_projector import crew
from turnlog_projector import verify_sessions as verify_sessions_module
from turnlog_projector import verify_streams as verify_streams_module
from turnlog_projector import verify_tasks as verify_tasks_module
from turnlog_projector.batch import event_hash
from turnlog_projector.generations import NoSuchGeneration
from turnlog_projector.lines import TABLES
from turnlog_projector.parking import retry
from turnlog_projector.verify import VerifyProgress, verify
from turnlog_projector.verify_differences import Difference

pytestmark = pytest.mark.integration

SECRET = "words that nobody may read in a log"


@pytest.fixture
def filled(rig: Rig) -> Rig:
    """A few sessions with rows in every read model, projected."""
    for number in range(5):
        rig.writer.append(
            f"s{number}",
            event("session.started", {"user_id": "u", "title": f"Title\t{number}\\"}),
            turn("t0", SECRET),
            turn("t1", "Hi \0 \\ \n", role="assistant", usage={"input_tokens": 3}),
            turn("t2", "Again", parent_turn_id="t0"),
            event("turn.edited", {"turn_id": "t0", "content": SECRET + "!"}),
            event("turn.annotated", {"turn_id": "t1", "kind": "rating", "value": 1, "by": "u"}),
        )
    rig.drain(rig.projection())
    return rig


def test_the_columns_are_those_of_the_tables(rig: Rig) -> None:
    for table, (columns, _) in TABLES.items():
        rows = rig.connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'g1'"
            " AND table_name = %s ORDER BY ordinal_position",
            (table,),
        )
        assert tuple(row[0] for row in rows) == columns


def test_nothing_differs_where_nothing_is_wrong(filled: Rig) -> None:
    report, found = run_verify(filled)
    assert found == []
    assert report.digest == report.expected != "0" * 32
    assert (report.generation, report.state) == (1, "live")
    assert (report.sessions, report.events) == (5, 30)


def test_an_empty_log_has_the_digest_zero(rig: Rig) -> None:
    report, found = run_verify(rig)
    assert (found, report.digest) == ([], "0" * 32)


def test_one_session_and_a_sample(filled: Rig) -> None:
    whole = run_verify(filled)[0]
    one, found = run_verify(filled, session="s3")
    assert (found, one.sessions, one.events) == ([], 1, 6)
    sampled, found = run_verify(filled, sample=3)
    assert (found, sampled.sessions) == ([], 3)
    everything, found = run_verify(filled, sample=100)
    assert (found, everything.digest) == ([], whole.digest)


_TAMPERED: list[tuple[LiteralString, tuple[str, int | None, str, str]]] = [
    (
        "UPDATE {g}.turns SET body = replace(body, 'nobody', 'anybody')"
        " WHERE session_id = 's1' AND turn_id = 't0'",
        ("s1", 2, "turns", "body.content"),
    ),
    (
        "UPDATE {g}.turns SET body = body || ' ' WHERE session_id = 's1' AND turn_id = 't1'",
        ("s1", 3, "turns", "body"),
    ),
    (
        "UPDATE {g}.turns SET status = 'retracted' WHERE session_id = 's1' AND turn_id = 't1'",
        ("s1", 3, "turns", "status"),
    ),
    (
        "UPDATE {g}.turns SET at = at + interval '1 microsecond'"
        " WHERE session_id = 's1' AND turn_id = 't1'",
        ("s1", 3, "turns", "at"),
    ),
    (
        "UPDATE {g}.turns SET input_tokens = 1 WHERE session_id = 's1' AND turn_id = 't1'",
        ("s1", 3, "turns", "input_tokens"),
    ),
    (
        "UPDATE {g}.turns SET model = E'a\\tb' WHERE session_id = 's1' AND turn_id = 't1'",
        ("s1", 3, "turns", "model"),
    ),
    (
        "UPDATE {g}.sessions SET title = 'Another' WHERE session_id = 's1'",
        ("s1", 6, "sessions", "title"),
    ),
    (
        "UPDATE {g}.sessions SET user_id = NULL WHERE session_id = 's1'",
        ("s1", 6, "sessions", "user_id"),
    ),
    (
        "UPDATE {g}.sessions SET ignored = ignored + 1 WHERE session_id = 's1'",
        ("s1", 6, "sessions", "ignored"),
    ),
    (
        "DELETE FROM {g}.turns WHERE session_id = 's1' AND turn_id = 't0'",
        ("s1", 2, "turns", "row"),
    ),
    ("DELETE FROM {g}.sessions WHERE session_id = 's1'", ("s1", 6, "sessions", "row")),
    ("DELETE FROM {g}.titles WHERE session_id = 's1'", ("s1", 1, "titles", "row")),
    (
        "UPDATE {g}.turn_revisions SET body = replace(body, 'nobody', 'you')"
        " WHERE session_id = 's1'",
        ("s1", 5, "turn_revisions", "body.before"),
    ),
    (
        "UPDATE {g}.annotations SET kind = 'comment' WHERE session_id = 's1'",
        ("s1", 6, "annotations", "kind"),
    ),
    (
        "UPDATE {g}.branches SET first_seq = 3 WHERE session_id = 's1' AND branch_id = 'b4'",
        ("s1", 4, "branches", "first_seq"),
    ),
    (
        "INSERT INTO {g}.titles SELECT tenant, session_id, 4, turn_id, body FROM {g}.titles"
        " WHERE session_id = 's1'",
        ("s1", 4, "titles", "row"),
    ),
    (
        "INSERT INTO {g}.turns SELECT tenant, 'unknown', turn_id, seq, branch_id, role, status, at,"
        " body FROM {g}.turns WHERE session_id = 's1' AND seq = 2",
        ("unknown", 2, "turns", "row"),
    ),
    (
        "INSERT INTO {g}.annotations SELECT tenant, 'unknown', turn_id, seq, kind, body"
        " FROM {g}.annotations WHERE session_id = 's1'",
        ("unknown", 6, "annotations", "row"),
    ),
    (
        "UPDATE turnlog.archive SET bytes = bytes || ' ' WHERE session_id = 's1' AND seq = 3",
        ("s1", 3, "archive", "hash"),
    ),
    (
        "UPDATE turnlog.archive SET hash = '\\x00' WHERE session_id = 's1' AND seq = 3",
        ("s1", 3, "archive", "hash"),
    ),
    (
        "UPDATE turnlog.archive SET recorded_at = recorded_at + 1"
        " WHERE session_id = 's1' AND seq = 3",
        ("s1", 3, "archive", "recorded_at"),
    ),
    (
        "DELETE FROM turnlog.archive WHERE session_id = 's1' AND seq = 3",
        ("s1", 3, "archive", "row"),
    ),
    (
        "DELETE FROM turnlog.archive WHERE session_id = 's1' AND seq = 6",
        ("s1", 6, "archive", "row"),
    ),
    ("DELETE FROM turnlog.archive WHERE session_id = 's1'", ("s1", 1, "archive", "row")),
    ("DELETE FROM turnlog.heads WHERE session_id = 's1'", ("s1", 6, "heads", "row")),
    ("UPDATE turnlog.heads SET seq = 5 WHERE session_id = 's1'", ("s1", 6, "heads", "seq")),
    (
        "UPDATE turnlog.heads SET event_id = 'x' WHERE session_id = 's1'",
        ("s1", 6, "heads", "event_id"),
    ),
    (
        "UPDATE turnlog.offsets SET pos = pos + 1 WHERE partition = 2",
        ("", None, "offsets", "pos"),
    ),
    (
        "INSERT INTO turnlog.parked (tenant, session_id, seq, event_id, partition, state, error)"
        " VALUES ('default', 's1', 3, 'x', 1, 'parked', '-')",
        ("s1", None, "parked", "seq"),
    ),
]


@pytest.mark.parametrize("large", [False, True], ids=["memory", "scratch"])
def test_what_was_changed_by_hand_is_found(filled: Rig, large: bool) -> None:
    sound = run_verify(filled)[0]
    tables = [*(f"g1.{table}" for table in TABLES), *_DURABLE]
    for table in tables:
        execute(filled, f"CREATE TABLE {copy_of(table)} AS TABLE {table}")
    wrong: list[str] = []
    with (
        patched(verify_tasks_module, "LARGE_SESSION_EVENTS", 0 if large else 5000),
        patched(verify_streams_module, "_PAUSES_S", (0.0,)),
    ):
        for damage, where in _TAMPERED:
            execute(filled, damage.replace("{g}", "g1"))
            report, found = run_verify(filled)
            touched = {each.session_id for each in found} - {where[0], ""}
            digests = (report.digest != sound.digest, report.expected == sound.digest)
            if where not in places(found) or touched:
                wrong.append(f"{damage} gave {places(found)}")
            if where[2] in TABLES and digests != (True, True):
                wrong.append(f"{damage} gave the digests {report.digest}, {report.expected}")
            for table in tables:
                execute(filled, f"TRUNCATE {table}; INSERT INTO {table} TABLE {copy_of(table)}")
    assert wrong == []
    assert run_verify(filled)[1] == []


_DURABLE = ["turnlog.archive", "turnlog.heads", "turnlog.offsets", "turnlog.parked"]


def copy_of(table: str) -> str:
    return "copy_of_" + table.replace(".", "_")


def execute(rig: Rig, statement: str) -> None:
    rig.connection.execute(cast(LiteralString, statement))


def test_a_page_ends_where_it_holds_enough(filled: Rig) -> None:
    """Whatever the size of the pages, and whether sessions fit into one, the digest is the same."""
    whole = run_verify(filled)[0].digest
    for events, size in ((1, 10**9), (8, 10**9), (2000, 1), (2000, 3000)):
        with (
            patched(verify_tasks_module, "PAGE_EVENTS", events),
            patched(verify_sessions_module, "PAGE_BYTES", size),
        ):
            report, found = run_verify(filled)
            assert (found, report.digest, report.sessions) == ([], whole, 5)
            report, found = run_verify(filled, sample=5)
            assert (found, report.digest, report.sessions) == ([], whole, 5)


def test_a_changed_byte_under_a_changed_hash_is_found_while_the_stream_has_it(filled: Rig) -> None:
    raw: bytes = filled.connection.execute(
        "SELECT bytes FROM turnlog.archive WHERE session_id = 's1' AND seq = 2"
    ).fetchall()[0][0]
    changed = raw.replace(b"nobody", b"antbody")
    filled.connection.execute(
        "UPDATE turnlog.archive SET bytes = %s, hash = %s WHERE session_id = 's1' AND seq = 2",
        (changed, event_hash(changed)),
    )
    found = run_verify(filled, session="s1")[1]
    assert ("s1", 2, "archive", "bytes") in places(found)
    without = run_verify(filled, session="s1", stream=False)[1]
    assert places(without) == places(found) - {("s1", 2, "archive", "bytes")}


def test_a_trimmed_stream_is_no_difference(filled: Rig) -> None:
    stream = filled.writer.keys("s1").stream
    filled.client.xtrim(stream, maxlen=2, approximate=False)
    filled.client.delete(filled.writer.keys("s2").stream)
    assert run_verify(filled)[1] == []


def test_a_stream_that_is_put_right_meanwhile_is_no_difference(filled: Rig) -> None:
    """As when an erasure has reached the archive and is about to reach Redis."""
    stream = filled.writer.keys("s1").stream
    good = filled.client.dump(stream)
    filled.client.delete(stream)
    filled.client.xadd(stream, {"e": "another", "i": "x", "t": 1}, id="3-0")

    def mend(_: float) -> None:
        filled.client.restore(stream, 0, good, replace=True)  # pyright: ignore[reportArgumentType]

    with patched(verify_streams_module.time, "sleep", mend):
        assert run_verify(filled)[1] == []


def test_appends_meanwhile_make_no_difference(filled: Rig) -> None:
    """Sessions grow and are projected between any two pages."""
    projection = filled.projection()
    number = 0

    def tell(_: VerifyProgress) -> None:
        nonlocal number
        number += 1
        for session_id in ("s0", "s4", f"new{number}"):
            filled.writer.append(session_id, turn(f"more{number}"))
        filled.writer.append("s1", turn(f"more{number}"))  # not projected yet
        filled.drain(projection) if number % 2 else projection.project(range(2))

    found: list[Difference] = []
    with patched(verify_tasks_module, "PAGE_EVENTS", 1):
        report = verify(filled.postgres_url, filled.redis_url, tell=tell, report=found.append)
    assert found == []
    assert report.digest == report.expected
    assert number > 5


def test_parked_and_skipped_sessions_equal_the_log(filled: Rig) -> None:
    filled.writer.append("parked", turn("t0"), poison(), turn("t1"))
    filled.writer.append("skipped", turn("t0"), poison(), turn("t1"))
    filled.drain(filled.projection())
    retry(filled.projection(), "default", "skipped", skip=True)
    assert run_verify(filled)[1] == []
    with patched(verify_tasks_module, "LARGE_SESSION_EVENTS", 0):
        assert run_verify(filled)[1] == []
    filled.connection.execute("UPDATE turnlog.heads SET parked_seq = NULL")
    assert ("parked", 2, "heads", "parked_seq") in places(run_verify(filled)[1])


def test_text_is_only_told_when_asked_for(filled: Rig) -> None:
    filled.connection.execute(
        "UPDATE g1.turns SET body = replace(body, 'nobody', 'anybody') WHERE session_id = 's1'"
    )
    filled.connection.execute("UPDATE g1.sessions SET title = 'Other' WHERE session_id = 's1'")
    found = run_verify(filled)[1]
    assert len(found) == 2
    for each in found:
        assert "body" not in each.told(values=False).line().replace("body.", "")
        assert "Other" not in each.told(values=False).line()
    lines = [each.told(values=True).line() for each in found]
    assert any("anybody" in line for line in lines)
    assert any("Other" in line for line in lines)


def test_a_generation_that_does_not_exist(filled: Rig) -> None:
    with pytest.raises(NoSuchGeneration, match="generation 7"):
        run_verify(filled, generation=7)
    for state in ("building", "kept"):
        filled.connection.execute(
            "INSERT INTO turnlog.generations (state, name) VALUES (%s, %s)", (state, state)
        )
    with pytest.raises(NoSuchGeneration, match="only being built"):
        run_verify(filled, generation="building")
    with pytest.raises(NoSuchGeneration, match="drop it"):
        run_verify(filled, generation="kept")


def test_processes_find_the_same(filled: Rig) -> None:
    filled.connection.execute("UPDATE g1.turns SET body = '{}' WHERE session_id = 's1'")
    alone = run_verify(filled)
    with patched(crew, "SMALL_LOG_EVENTS", 0):
        together = run_verify(filled, processes=2)
    assert together[0]._replace(seconds=0) == alone[0]._replace(seconds=0)
    assert sorted(together[1]) == sorted(alone[1])
