"""Going back to a former generation, and the flip itself."""

import threading

import pytest
from appending import event, poison, turn
from rig import Rig, patched
from servers import wait_until
from truth import read_tables
from verifying import run_verify

from turnlog_projector import flip as flip_module
from turnlog_projector import following as following_module
from turnlog_projector import verify_tasks as verify_tasks_module
from turnlog_projector.database import connect_postgres
from turnlog_projector.generations import NoSuchGeneration, drop_generation
from turnlog_projector.parking import list_parked, retry
from turnlog_projector.proving import NotProven
from turnlog_projector.replay import replay
from turnlog_projector.rollback import RollbackReport, rollback
from turnlog_schemas import fold as fold_module
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.rows import Changes, Rows, Session

pytestmark = pytest.mark.integration


def fill(rig: Rig, sessions: int = 4) -> None:
    for number in range(sessions):
        rig.writer.append(f"s{number}", *[turn(f"t{n}", f"turn {n}") for n in range(5)])
    rig.drain(rig.projection())


def flip(rig: Rig) -> None:
    replay(rig.postgres_url, tell=lambda _: None)


def back(rig: Rig, generation: int | None = None, *, everything: bool = False) -> RollbackReport:
    check = "all" if everything else "sample"
    return rollback(rig.postgres_url, tell=lambda _: None, generation=generation, check=check)


def states(rig: Rig) -> dict[int, str]:
    rows = rig.connection.execute("SELECT generation, state FROM turnlog.generations")
    return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize("everything", [False, True], ids=["sample", "all"])
@pytest.mark.parametrize("chunk", [1, 2000])
def test_a_former_generation_catches_up_and_is_live_again(
    rig: Rig, everything: bool, chunk: int
) -> None:
    fill(rig)
    flip(rig)
    projection = rig.projection()
    rig.writer.append("s0", turn("t5"), event("turn.edited", {"turn_id": "t1", "content": "x"}))
    rig.writer.append("new", turn("t0"))
    rig.drain(projection)
    live = read_tables(rig.connection, 2)
    with patched(following_module, "CHUNK_EVENTS", chunk):
        report = back(rig, everything=everything)
    assert (report.generation, report.former, report.caught_up) == (1, 2, 3)
    assert states(rig) == {1: "live", 2: "kept"}
    assert read_tables(rig.connection, 1) == live
    rig.writer.append("s0", turn("t6"))
    rig.drain(projection)
    rig.check()
    assert run_verify(rig)[1] == run_verify(rig, generation=2)[1] == []
    assert back(rig).generation == 2
    assert states(rig) == {1: "kept", 2: "live"}
    rig.check()


def test_large_rows_are_caught_up_with_one_by_one_but_not_from_their_beginning(rig: Rig) -> None:
    """Else a session of 100,000 turns would be folded whole for every chunk that tells of it."""
    fill(rig)
    metadata = {"prompt": "x" * 5000}
    rig.writer.append("s0", event("session.updated", {"metadata": metadata}))
    rig.writer.append("s1", turn("large", "x" * 20_000), turn("large-2", "x" * 20_000))
    rig.drain(rig.projection())
    flip(rig)
    projection = rig.projection()
    for number in range(3):
        rig.writer.append("s0", turn(f"more{number}"))
        rig.writer.append("s2", turn(f"more{number}"))
        for turn_id in ("large", "large-2"):
            rating = {"turn_id": turn_id, "kind": "rating", "value": number, "by": "u"}
            rig.writer.append("s1", event("turn.annotated", rating))
    rig.drain(projection)
    with (
        patched(following_module, "CHUNK_BYTES", 10_000),
        patched(following_module, "refold_session", None),
    ):
        assert back(rig, everything=True).caught_up == 12
    assert read_tables(rig.connection, 1) == read_tables(rig.connection, 2)
    rig.check()


def test_appends_go_on_while_generations_take_turns(rig: Rig) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.wait(0.002):
            number += 1
            rig.writer.append(f"s{number % 5}", turn(f"t{number}"))

    writing = threading.Thread(target=write)
    with rig.worker(), rig.worker():
        writing.start()
        flip(rig)
        for _ in range(4):
            back(rig)
        stop.set()
        writing.join()
        rig.wait_projected()
    assert states(rig) == {1: "kept", 2: "live"}
    assert run_verify(rig)[1] == []


def test_without_a_former_generation_there_is_nothing_to_go_back_to(rig: Rig) -> None:
    fill(rig)
    with pytest.raises(NoSuchGeneration, match="nothing to go back to"):
        back(rig)
    flip(rig)
    with pytest.raises(NoSuchGeneration, match="is live"):
        back(rig, 2)
    drop_generation(rig.connection, 1)
    with pytest.raises(NoSuchGeneration):
        back(rig, 1)


@pytest.mark.parametrize("everything", [False, True], ids=["sample", "all"])
def test_a_former_generation_that_was_changed_is_not_made_live(rig: Rig, everything: bool) -> None:
    fill(rig)
    flip(rig)
    rig.connection.execute(
        "UPDATE g1.turns SET status = 'retracted' WHERE session_id = 's2' AND turn_id = 't3'"
    )
    with pytest.raises(NotProven, match="s2 seq 4 turns t3 status"):
        back(rig, everything=everything)
    assert states(rig) == {1: "kept", 2: "live"}
    rig.check()


def test_what_was_parked_then_is_folded_now(rig: Rig) -> None:
    def broken(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
        raise KeyError("a fault of ours")

    handlers = fold_module._HANDLERS  # pyright: ignore[reportPrivateUsage]
    before = handlers["turn.edited"]
    handlers["turn.edited"] = broken
    try:
        for name in ("quiet", "busy"):
            edited = event("turn.edited", {"turn_id": "t0", "content": "x"})
            rig.writer.append(name, turn("t0"), edited, turn("t1"))
        rig.drain(rig.projection())
    finally:
        handlers["turn.edited"] = before
    flip(rig)
    assert list_parked(rig.connection) == []
    rig.writer.append("busy", turn("t2"))
    rig.drain(rig.projection())
    back(rig)
    rig.check()
    assert run_verify(rig)[1] == []


def test_what_was_voided_meanwhile_stays_void(rig: Rig) -> None:
    rig.writer.append("s", turn("t0"), poison(), turn("t1"))
    rig.writer.append("waits", turn("t0"), poison())
    rig.drain(rig.projection())
    flip(rig)
    retry(rig.projection(), "default", "s", skip=True)
    rig.writer.append("s", turn("t2"))
    rig.drain(rig.projection())
    back(rig)
    rig.check()
    assert {(p.session_id, p.seq, p.state) for p in list_parked(rig.connection)} == {
        ("s", 2, "skipped"),
        ("waits", 2, "parked"),
    }


def test_a_flip_does_not_make_others_wait_for_whoever_holds_an_offset(rig: Rig) -> None:
    """A worker is in the middle of a long transaction in one partition; the other ones go on."""
    fill(rig)
    tried: list[bool] = []

    def tell(progress: following_module.Progress) -> None:
        if progress.phase == "flip":
            tried.append(True)

    replaying = threading.Thread(target=lambda: replay(rig.postgres_url, tell=tell))
    with connect_postgres(rig.postgres_url) as slow, connect_postgres(rig.postgres_url) as other:
        with slow.transaction():
            slow.execute("UPDATE turnlog.offsets SET epoch = epoch + 1 WHERE partition = 3")
            replaying.start()
            wait_until(lambda: len(tried) > 2, "the flip has given way a few times")
            other.execute("UPDATE turnlog.offsets SET epoch = epoch + 1 WHERE partition = 0")
            assert states(rig) == {1: "live", 2: "building"}
        replaying.join(30)
    assert states(rig) == {1: "kept", 2: "live"}
    rig.drain(rig.projection())
    rig.check()


def test_what_comes_while_the_flip_waits_is_folded_without_the_lock(rig: Rig) -> None:
    fill(rig)
    projection = rig.projection()
    came: list[int] = []

    def meanwhile(_: object) -> None:
        if len(came) < 3:
            came.append(len(came))
            rig.writer.append("s1", *[turn(f"m{len(came)}-{n}") for n in range(4)])
            rig.drain(projection)

    with patched(flip_module, "NEARLY_THERE_EVENTS", 1):
        replay(
            rig.postgres_url,
            tell=lambda progress: meanwhile(progress) if progress.phase == "flip" else None,
        )
    assert len(came) == 3
    rig.drain(projection)
    rig.check()


def test_an_erasure_during_a_replay_is_in_what_it_makes(rig: Rig) -> None:
    """In every phase: also while the rows that are copied still hold the text."""
    fill(rig)
    projection = rig.projection()
    erased: list[str] = []
    phases = ["events", "indexes", "verify", "flip"]

    def tell(progress: following_module.Progress) -> None:
        if progress.phase in phases and progress.phase not in erased:
            number = phases.index(progress.phase)
            erased.append(progress.phase)
            gone = "session.erased" if number == 3 else "turn.erased"
            data = {} if number == 3 else {"turn_id": "t1"}
            rig.writer.append(f"s{number}", event(gone, data))
            rig.drain(projection)

    with patched(verify_tasks_module, "PAGE_EVENTS", 1):
        replay(rig.postgres_url, tell=tell)
    assert sorted(erased) == sorted(phases)
    rig.drain(projection)
    assert run_verify(rig, stream=False)[1] == run_verify(rig, generation=1, stream=False)[1] == []
    turns = read_tables(rig.connection, 2)["turns"]
    assert not any("turn 1" in str(row) for row in turns)
