"""A session whose next event cannot be folded waits; everything else goes on."""

from collections.abc import Callable

import pytest
from appending import Writer, event, foreign, poison, turn
from faulty_fold import patched_handler
from rig import Rig
from truth import fold_archive, read_archive, read_tables

from turnlog_producers.scripts import load_script
from turnlog_projector.batch import Batch
from turnlog_projector.following import Progress
from turnlog_projector.init import create_generation
from turnlog_projector.parking import NotParked, list_parked, retry
from turnlog_projector.projection import Projection
from turnlog_projector.replay import replay
from turnlog_projector.sqlfiles import statement

pytestmark = pytest.mark.integration


def turns_of(rig: Rig, session_id: str) -> list[str]:
    """The turn ids that the live read models show."""
    (generation,) = rig.connection.execute("SELECT generation FROM turnlog.active").fetchall()[0]
    rows = read_tables(rig.connection, generation)["turns"]
    return [row[2] for row in sorted(rows, key=lambda row: row[3]) if row[1] == session_id]


def states(rig: Rig) -> list[tuple[str, int, str]]:
    """Session, seq and state of everything parked or skipped."""
    return sorted((p.session_id, p.seq, p.state) for p in list_parked(rig.connection))


def test_poison_parks_its_session_alone_and_is_archived(rig: Rig) -> None:
    rig.writer.append("bad", turn("t0"), turn("t1"))
    rig.writer.append("bad", poison(), turn("t2"))
    rig.writer.append("good", turn("t0"))
    projection = rig.projection()
    rig.drain(projection)
    rig.writer.append("bad", turn("t3"))
    rig.writer.append("good", turn("t1"))
    rig.drain(projection)
    rig.check()
    assert turns_of(rig, "bad") == ["t0", "t1"]
    assert turns_of(rig, "good") == ["t0", "t1"]
    assert states(rig) == [("bad", 3, "parked")]
    [parked] = list_parked(rig.connection)
    assert parked.waiting == 3
    assert "no json" not in parked.error


@pytest.mark.parametrize("raw", [b"", b"\x00", b"null", b"[]", b'"\\ud800"', b"\xff", b"{" * 2000])
def test_no_bytes_stop_the_others(rig: Rig, raw: bytes) -> None:
    rig.writer.append("bad", poison(raw))
    rig.writer.append("good", turn("t0"))
    rig.drain(rig.projection())
    rig.check()
    assert states(rig) == [("bad", 1, "parked")]


def test_no_owner_stops_the_others(rig: Rig) -> None:
    """A producer in another language may claim that the owner is no text at all."""
    keys, args = rig.writer.call("bad", [turn("t0")._replace(mark="s")])
    args[4] = b"\xff\0"
    rig.client.eval(load_script("append").source, len(keys), *keys, *args)
    neighbours = [f"n{number}" for number in range(8)]
    for session_id in neighbours:
        rig.writer.append(session_id, turn("t0"))
    projection = rig.projection()
    rig.drain(projection)
    rig.audit_all(projection)
    rig.check()
    assert all(turns_of(rig, session_id) == ["t0"] for session_id in neighbours)


def test_a_version_from_the_future_parks(rig: Rig) -> None:
    rig.writer.append("bad", turn("t0"), foreign("turn.appended", {"turn_id": "t1"}, version=2))
    rig.drain(rig.projection())
    rig.check()
    assert states(rig) == [("bad", 2, "parked")]


def test_retry_after_a_mend_gives_what_never_parking_would_have_given(rig: Rig) -> None:
    projection = rig.projection()
    with patched_handler("turn.appended"):
        rig.writer.append("s", turn("t0"), turn("t1"))
        rig.drain(projection)
    assert states(rig) == [("s", 1, "parked")]
    rig.writer.append("s", turn("t2"))
    rig.drain(projection)
    assert turns_of(rig, "s") == []
    assert retry(rig.projection(), "default", "s") == 3
    assert states(rig) == []
    rig.writer.append("s", turn("t3"))
    rig.drain(projection)
    rig.check()
    assert turns_of(rig, "s") == ["t0", "t1", "t2", "t3"]


def test_retry_without_a_mend_stays_where_it_is(rig: Rig) -> None:
    rig.writer.append("s", turn("t0"), poison(), turn("t1"))
    rig.drain(rig.projection())
    assert retry(rig.projection(), "default", "s") == 0
    rig.check()
    assert states(rig) == [("s", 2, "parked")]


def test_skip_goes_on_behind_the_event_and_stops_at_the_next(rig: Rig) -> None:
    rig.writer.append("s", turn("t0"), poison(), turn("t1"), poison(), turn("t2"))
    projection = rig.projection()
    rig.drain(projection)
    retry(rig.projection(), "default", "s", skip=True)
    rig.check()
    assert states(rig) == [("s", 2, "skipped"), ("s", 4, "parked")]
    retry(rig.projection(), "default", "s", skip=True)
    rig.writer.append("s", turn("t3"))
    rig.drain(projection)
    rig.check()
    assert states(rig) == [("s", 2, "skipped"), ("s", 4, "skipped")]
    assert turns_of(rig, "s") == ["t0", "t1", "t2", "t3"]
    with pytest.raises(NotParked):
        retry(rig.projection(), "default", "s")


def test_a_long_session_is_retried_in_pieces(rig: Rig) -> None:
    rig.writer.append("s", poison())
    for start in range(0, 2400, 400):
        rig.writer.append("s", *[turn(f"t{n}") for n in range(start, start + 400)])
    rig.drain(rig.projection())
    assert retry(rig.projection(), "default", "s", skip=True) == 2401
    rig.check()


def test_retry_goes_on_while_another_worker_writes_the_same_partition(rig: Rig) -> None:
    """The live projector moves the offset just before the retry commits."""
    rig.writer.append("s", turn("t0"), poison(), turn("t1"))
    projection, operator = rig.projection(), rig.projection()
    rig.drain(projection)
    interrupt(operator, lambda: overtake(rig, projection))
    retry(operator, "default", "s", skip=True)
    rig.drain(projection)
    rig.check()
    assert states(rig) == [("s", 2, "skipped")]
    assert turns_of(rig, "s") == ["t0", "t1"]


def test_a_skip_that_broke_off_can_be_repeated(rig: Rig) -> None:
    """The operator's command died between its two writes, or at its second."""
    rig.writer.append("s", turn("t0"), poison(), turn("t1"))
    projection, operator = rig.projection(), rig.projection()
    rig.drain(projection)
    interrupt(operator, crash)
    with pytest.raises(Crash):
        retry(operator, "default", "s", skip=True)
    retry(rig.projection(), "default", "s", skip=True)
    rig.drain(projection)
    rig.check()
    assert states(rig) == [("s", 2, "skipped")]


def test_replay_honours_parked_and_skipped(rig: Rig) -> None:
    rig.writer.append("parked", turn("t0"), poison(), turn("t1"))
    rig.writer.append("skipped", turn("t0"), poison(), turn("t1"))
    projection = rig.projection()
    rig.drain(projection)
    retry(rig.projection(), "default", "skipped", skip=True)
    before = states(rig)
    live = read_tables(rig.connection, 1)
    replay(rig.postgres_url, tell=lambda _: None, processes=1)
    assert states(rig) == before
    assert read_tables(rig.connection, 2) == live
    rig.check()
    rig.writer.append("parked", turn("t2"))
    rig.writer.append("skipped", turn("t2"))
    rig.drain(projection)
    rig.check()


def test_replay_folds_on_what_was_parked_by_a_fault_that_is_mended(rig: Rig) -> None:
    with patched_handler("turn.appended"):
        rig.writer.append("s", turn("t0"), turn("t1"))
        rig.drain(rig.projection())
    assert states(rig) == [("s", 1, "parked")]
    replay(rig.postgres_url, tell=lambda _: None, processes=1)
    assert states(rig) == []
    rig.check()


@pytest.mark.parametrize("phase", ["indexes", "flip"])
def test_a_skip_during_a_replay_is_not_undone_by_it(rig: Rig, phase: str) -> None:
    rig.writer.append("s", turn("t0"), poison(), turn("t1"))
    rig.drain(rig.projection())

    def tell(progress: Progress) -> None:
        if progress.phase == phase and states(rig) == [("s", 2, "parked")]:
            retry(rig.projection(), "default", "s", skip=True)

    replay(rig.postgres_url, tell=tell, processes=1)
    assert states(rig) == [("s", 2, "skipped")]
    rig.check()
    assert turns_of(rig, "s") == ["t0", "t1"]


@pytest.mark.parametrize("skip", [True, False])
def test_a_kept_generation_gets_what_it_would_have_had(rig: Rig, skip: bool) -> None:
    """Up to where it was left; what was archived later comes when it catches up."""
    with patched_handler("turn.appended"):
        rig.writer.append("s", turn("t0"), turn("t1"))
        rig.drain(rig.projection())
    rig.writer.append("s", event("session.updated", {"title": "T"}))
    rig.drain(rig.projection())
    live = rig.projection().generation
    # As if a replay had met the same fault.
    kept = create_generation(rig.connection, state="kept")
    rig.connection.execute(statement("generation_indexes", generation=kept))
    rig.connection.execute(
        "INSERT INTO turnlog.positions SELECT %s, partition, pos FROM turnlog.offsets", (kept,)
    )
    rig.writer.append("s", turn("t2"))
    rig.writer.append("s", event("turn.edited", {"turn_id": "t1", "content": "later"}))
    rig.drain(rig.projection())
    archive = read_archive(rig.connection)
    assert retry(rig.projection(), "default", "s", skip=skip) == 5
    rig.check()
    assert states(rig) == ([("s", 1, "skipped")] if skip else [])
    skipped = [("default", "s", 1)] if skip else []
    expected, _ = fold_archive([row for row in archive if row.seq <= 3], skipped)
    assert read_tables(rig.connection, kept) == expected
    assert turns_of(rig, "s") == (["t1", "t2"] if skip else ["t0", "t1", "t2"])
    assert rig.projection().generation == live


def test_what_is_archived_while_it_waits_is_folded_with_it(rig: Rig) -> None:
    projection = rig.projection()
    rig.writer.append("s", turn("t0"))
    rig.drain(projection)
    with patched_handler("turn.edited"):
        rig.writer.append("s", event("turn.edited", {"turn_id": "t0", "content": "edited"}))
        rig.drain(projection)
        for number in range(1, 30):
            rig.writer.append("s", turn(f"t{number}"))
            rig.drain(projection)
    assert states(rig) == [("s", 2, "parked")]
    retry(rig.projection(), "default", "s")
    rig.writer.append("s", turn("t30"))
    rig.drain(projection)
    rig.check()
    assert turns_of(rig, "s") == [f"t{number}" for number in range(31)]


def test_a_list_of_one_tenant_or_of_all(rig: Rig) -> None:
    other = Writer(rig.client, partitions=rig.partitions, tenant="other")
    rig.writer.append("s", poison())
    other.append("s", poison())
    rig.drain(rig.projection())
    assert {each.tenant for each in list_parked(rig.connection)} == {"default", "other"}
    assert {each.tenant for each in list_parked(rig.connection, "other")} == {"other"}


class Crash(Exception):
    """The process has died here."""


def crash() -> None:
    raise Crash


def interrupt(projection: Projection, what: Callable[[], None]) -> None:
    """Do something once, just before the projection's next commit."""
    commit = projection.commit

    def interrupted(batch: Batch) -> None:
        projection.commit = commit
        what()
        commit(batch)

    projection.commit = interrupted


def overtake(rig: Rig, projection: Projection) -> None:
    """Something of the same partition is projected."""
    neighbour = next(
        f"n{number}"
        for number in range(100)
        if rig.key(f"n{number}").partition == rig.key("s").partition
    )
    rig.writer.append(neighbour, turn("t0"))
    rig.drain(projection)
