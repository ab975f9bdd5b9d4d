"""The table of search follows the read models, whatever happens; and only what may be found is in
it."""

import threading
from contextlib import suppress
from typing import Any

import pytest
from appending import event, foreign, poison, turn
from histories import APPENDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import Rig, patched
from searched import index_all, rows_of
from servers import wait_until
from stage import Stage

from turnlog_projector import search_index
from turnlog_projector.database import Database, connect_postgres
from turnlog_projector.following import Progress
from turnlog_projector.generations import drop_generation
from turnlog_projector.init import initialise
from turnlog_projector.parking import NotParked, retry
from turnlog_projector.replay import replay
from turnlog_projector.rollback import rollback
from turnlog_projector.search import lock
from turnlog_projector.search_index import index_some
from turnlog_projector.search_rows import Changes, load_sessions
from turnlog_projector.sqlfiles import statement

pytestmark = pytest.mark.integration


def quiet(_: Progress) -> None:
    """Tells nobody."""


def expected(connection: Database, generation: int) -> list[tuple[Any, ...]]:
    """The rows that the read models ask for, all made afresh, in a table of their own."""
    turns = connection.execute(
        f"SELECT tenant, session_id, body::json FROM g{generation:d}.turns"  # pyright: ignore[reportArgumentType, reportCallIssue]
    ).fetchall()
    names = connection.execute(
        f"SELECT tenant, session_id FROM g{generation:d}.sessions"  # pyright: ignore[reportArgumentType, reportCallIssue]
    ).fetchall()
    sessions = load_sessions(connection, generation, names)
    changes = Changes()
    for tenant, session_id, body in turns:
        if (tenant, session_id) in sessions:
            changes.turn(sessions[tenant, session_id], body)
    for session in sessions.values():
        changes.title(session)
    with connection.transaction(force_rollback=True):
        connection.execute(f"CREATE SCHEMA g{generation + 1000:d}")  # pyright: ignore[reportArgumentType, reportCallIssue]
        connection.execute(statement("search", generation=generation + 1000))
        connection.execute(statement("search_indexes", generation=generation + 1000))
        changes.write(connection, generation + 1000)
        return all_rows(connection, generation + 1000)


def all_rows(connection: Database, generation: int) -> list[tuple[Any, ...]]:
    """Every row of the table."""
    return connection.execute(
        "SELECT tenant, session_id, seq, at, words::text "
        f"FROM g{generation:d}.search ORDER BY 1, 2, 3"  # pyright: ignore[reportArgumentType, reportCallIssue]
    ).fetchall()


def check(rig: Rig, generation: int = 1) -> None:
    """The table holds what it should."""
    assert all_rows(rig.connection, generation) == expected(rig.connection, generation)


def lag(rig: Rig, generation: int) -> tuple[int, int]:
    """Events and sessions that search is behind."""
    row = rig.connection.execute(
        "SELECT events, sessions FROM turnlog.search_lag(%s)", (generation,)
    ).fetchone()
    assert row is not None
    return row[0], row[1]


_STEPS = st.one_of(
    APPENDS,
    APPENDS,
    st.tuples(st.sampled_from([0, 1]), st.just("none")),
    st.sampled_from(["replay", "retry", "skip", "index", "index", "index"]),
)


@pytest.fixture
def stage(rig: Rig) -> Stage:
    """Two workers over one log."""
    return Stage(rig)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(_STEPS, max_size=20),
    size=st.sampled_from([1, 300, 4_000_000]),
    events=st.sampled_from([1, 2, 5, 500]),
)
def test_whatever_happens_it_holds_what_the_read_models_ask_for(
    stage: Stage, steps: list[Any], size: int, events: int
) -> None:
    stage.clear()
    connection = stage.rig.connection
    clear_search(connection, stage.generation())
    with patched(search_index, "BATCH_BYTES", size), patched(search_index, "BATCH_EVENTS", 3):
        for step in steps:
            if step == "index":
                index_some(connection, stage.generation(), range(4), events=events)
            elif step == "replay":
                stage.replay()
            elif isinstance(step, str):
                command = stage.rig.projection()
                with suppress(NotParked):
                    retry(command, "default", "s0", skip=step == "skip")
                stage.rig.discard(command)
            elif isinstance(step[0], str):
                stage.append(*step)
            else:
                stage.project(*step)
        for worker in stage.workers:
            stage.rig.drain(worker)
        index_all(connection, events=events)
    check(stage.rig, stage.generation())
    assert lag(stage.rig, stage.generation()) == (0, 0)


def clear_search(connection: Database, generation: int) -> None:
    """Nothing is searched yet."""
    connection.execute(f"TRUNCATE g{generation:d}.search, turnlog.search_stale")  # pyright: ignore[reportArgumentType, reportCallIssue]
    connection.execute("UPDATE turnlog.search_offsets SET pos = 0")


def words_found(rig: Rig, generation: int = 1) -> set[str]:
    """Every word of the table, without those that narrow a search."""
    return {
        word.split(":")[0].strip("'")
        for _, _, words in rows_of(rig.connection, generation)
        for word in words.split()
    }


def test_a_worker_indexes_what_it_projects_and_goes_on_in_the_next_generation(rig: Rig) -> None:
    rig.writer.append("s0", turn("t0", "alpha"))
    with rig.worker():
        wait_until(lambda: words_found(rig) == {"alpha"}, "the turn is indexed")
        rig.writer.append("s0", turn("t1", "beta"), event("turn.retracted", {"turn_id": "t0"}))
        wait_until(lambda: words_found(rig) == {"beta"}, "what changed is indexed")
        replay(rig.postgres_url, tell=quiet)
        rig.writer.append("s0", turn("t2", "gamma"))
        wait_until(lambda: words_found(rig, 2) == {"beta", "gamma"}, "it goes on")
        wait_until(lambda: lag(rig, 2) == (0, 0), "nothing is behind")
    check(rig, 2)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_replay_makes_the_new_generation_searchable_before_the_flip(
    rig: Rig, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnlog_projector.crew.SMALL_LOG_EVENTS", 0)
    monkeypatch.setattr("turnlog_projector.search_build._CHUNK_TURNS", 3)
    monkeypatch.setattr("turnlog_projector.search_build._CHUNK_TITLES", 1)
    for number in range(12):
        session_id = f"s{number}"
        rig.writer.append(session_id, event("session.started", {"user_id": "u", "title": "Named"}))
        rig.writer.append(session_id, *(turn(f"t{n}", f"word {n} {number}") for n in range(7)))
    rig.writer.append("s1", event("session.erased"))
    rig.drain(rig.projection())
    report = replay(rig.postgres_url, tell=quiet, processes=processes)
    assert report.generation == 2
    assert report.search_seconds > 0
    assert lag(rig, 2) == (0, 0)
    check(rig, 2)
    assert len(rows_of(rig.connection, 2)) == 11 * 8


def test_after_a_rollback_search_catches_up(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s0", turn("t0", "alpha"), turn("t1", "beta"))
    rig.drain(projection)
    index_all(rig.connection)
    replay(rig.postgres_url, tell=quiet)
    rig.writer.append("s0", turn("t2", "gamma"), event("turn.erased", {"turn_id": "t0"}))
    rig.drain(projection)
    index_all(rig.connection)
    assert words_found(rig, 2) == {"beta", "gamma"}
    assert words_found(rig, 1) == {"beta"}, "what is erased is gone from every generation at once"
    rollback(rig.postgres_url, tell=quiet)
    assert lag(rig, 1)[0] == 2
    index_all(rig.connection)
    assert words_found(rig, 1) == {"beta", "gamma"}
    check(rig)
    assert index_some(rig.connection, 2, range(4)).events == 0, "it is not live"
    drop_generation(rig.connection, 2)
    row = rig.connection.execute(
        "SELECT DISTINCT generation FROM turnlog.search_offsets"
    ).fetchall()
    assert row == [(1,)]


def test_a_database_of_before_search_gets_it(rig: Rig) -> None:
    rig.writer.append("s0", turn("t0", "alpha"))
    rig.drain(rig.projection())
    rig.connection.execute("DROP TABLE g1.search; DELETE FROM turnlog.search_offsets")
    for function in ("search_turns", "search_hits", "search_shown", "search_walk"):
        rig.connection.execute(f"DROP FUNCTION g1.{function}")  # pyright: ignore[reportArgumentType, reportCallIssue]
    initialise(rig.redis_url, rig.postgres_url)
    assert lag(rig, 1) == (1, 0)
    index_all(rig.connection)
    assert words_found(rig) == {"alpha"}


@pytest.mark.parametrize("pos", [0, 2**15 - 10, 2**31 - 10])
def test_a_place_in_the_archive_may_be_any_number(rig: Rig, pos: int) -> None:
    """psycopg sends an integer as the smallest type that holds it."""
    where = {"partition": 0, "pos": pos, "upto": pos + 100, "count": 500, "size": 1000}
    assert not rig.connection.execute(statement("search_changes", generation=1), where).fetchall()


def test_an_erasure_waits_for_a_batch_that_has_read_the_text(rig: Rig) -> None:
    """Whichever comes first: the erased text is not in the table afterwards."""
    rig.writer.append("s0", turn("t0", "secret"))
    projection = rig.projection()
    rig.drain(projection)
    rig.writer.append("s0", event("turn.erased", {"turn_id": "t0"}))
    with connect_postgres(rig.postgres_url) as indexer, indexer.transaction():
        assert lock(indexer, 1, range(4))
        index_some(indexer, 1, range(4))
        erasing = threading.Thread(target=rig.drain, args=(projection,))
        erasing.start()
        wait_until(lambda: _waiting(rig) == 1, "the erasure waits")
    erasing.join()
    assert words_found(rig) == set()
    index_all(rig.connection)
    assert words_found(rig) == set()


def _waiting(rig: Rig) -> int:
    row = rig.connection.execute(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    ).fetchone()
    assert row is not None
    return row[0]


def test_partitions_that_another_worker_has_in_hand_are_left_to_it(rig: Rig) -> None:
    rig.writer.append("s0", turn("t0", "alpha"))
    rig.drain(rig.projection())
    with connect_postgres(rig.postgres_url) as other, other.transaction():
        lock(other, 1, range(4))
        assert index_some(rig.connection, 1, range(4)).events == 0
    assert index_some(rig.connection, 1, range(4)).events == 1


def test_a_turn_that_postgres_refuses_stays_unfound_and_the_others_are_found(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.writer.append("s0", turn("t0", "alpha"), turn("t1", "bad"), turn("t2", "gamma"))
    rig.drain(rig.projection())

    def made(turn: dict[str, Any], _: object) -> str:
        return "x:y'" if turn["content"] == "bad" else f"{turn['content']}:1"

    monkeypatch.setattr("turnlog_projector.search_rows.turn_vector", made)
    index_all(rig.connection)
    assert words_found(rig) == {"alpha", "gamma"}


def test_a_turn_of_any_size_and_script_is_taken(rig: Rig) -> None:
    contents = [
        " ".join(f"word{n}" for n in range(100_000)),
        "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(300_000)),
        "x" * 1_000_000,
        "\ufdfa" * 20_000,
        "same " * 200_000,
    ]
    for number, content in enumerate(contents):
        rig.writer.append("s0", turn(f"t{number}", content))
    rig.drain(rig.projection())
    index_all(rig.connection)
    assert [seq for _, seq, _ in rows_of(rig.connection)] == [1, 2, 3, 4, 5]


def test_what_cannot_be_read_is_passed_over(rig: Rig) -> None:
    rig.writer.append("s0", turn("t0", "alpha"), poison(), turn("t1", "beta"))
    rig.writer.append("s1", poison(b"[1]"), foreign("turn.sung", {"turn_id": 7}))
    rig.drain(rig.projection())
    index_all(rig.connection)
    assert words_found(rig) == {"alpha"}
    retry(rig.projection(), "default", "s0", skip=True)
    index_all(rig.connection)
    assert words_found(rig) == {"alpha", "beta"}
