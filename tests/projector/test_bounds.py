"""A batch takes little memory, whatever lies in the log: large events that no index entry tells of,
old large turns that are touched again, large rows of sessions. So does a replay, or a proof."""

import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from appending import NewEvent, event, turn
from rig import Rig, dump, patched, restore
from verifying import run_verify

from turnlog_projector import caching, copying, refold, verify_reading, verify_sessions
from turnlog_projector import heal as heal_module
from turnlog_projector import projection as projection_module
from turnlog_projector.audit import settle
from turnlog_projector.log import IndexEntry
from turnlog_projector.projection import Projection
from turnlog_projector.replay import replay

pytestmark = pytest.mark.integration

LARGE = "x" * 100_000
LIMIT = 1_000_000


@pytest.fixture(autouse=True)
def limits() -> object:
    """Batches, pieces and caches of a MB."""
    with (
        patched(projection_module, "MAX_BATCH_BYTES", LIMIT),
        patched(heal_module, "MAX_RESTORED_BYTES", LIMIT),
        patched(caching, "MAX_CACHED_BYTES", LIMIT),
    ):
        yield


def peak_of(what: Callable[[], object]) -> int:
    """The most bytes that Python held more than before."""
    tracemalloc.start()
    try:
        what()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def rating(turn_id: str) -> NewEvent:
    return event("turn.annotated", {"turn_id": turn_id, "kind": "rating", "value": 1, "by": "u"})


def index_of(rig: Rig, projection: Projection, session_id: str) -> list[IndexEntry]:
    [entries] = projection.log.index_from([(rig.key(session_id).partition, 1)], 1000)
    return [entry for entry in entries if entry.session == rig.key(session_id).field]


@pytest.mark.parametrize("sessions", [1, 100])
def test_old_large_turns_that_are_touched_again(rig: Rig, sessions: int) -> None:
    names = [(f"s{number % sessions}", f"t{number}") for number in range(100)]
    for session_id, turn_id in names:
        rig.writer.append(session_id, turn(turn_id, LARGE))
    projection = rig.projection()
    rig.drain(projection)
    for session_id, turn_id in names:
        rig.writer.append(session_id, rating(turn_id))
    assert peak_of(lambda: rig.drain(projection)) < 8 * LIMIT
    rig.check()


def test_one_append_that_touches_many_old_large_turns(rig: Rig) -> None:
    names = [f"t{number}" for number in range(100)]
    for turn_id in names:
        rig.writer.append("s", turn(turn_id, LARGE))
    projection = rig.projection()
    rig.drain(projection)
    rig.writer.append("s", *[rating(turn_id) for turn_id in names])
    assert peak_of(lambda: rig.drain(projection)) < 8 * LIMIT
    rig.check()


def test_large_events_that_no_index_entry_tells_of(rig: Rig) -> None:
    rig.writer.append("s", turn("t"))
    projection = rig.projection()
    rig.drain(projection)
    for number in range(100):
        rig.writer.append("s", turn(f"t{number}", LARGE))
        rig.client.xdel(rig.writer.keys("s").index, rig.writer.newest_index_id("s"))
    rig.writer.append("s", turn("last"))
    assert peak_of(lambda: rig.drain(projection)) < 8 * LIMIT
    rig.check()


def test_large_rows_of_many_sessions(rig: Rig) -> None:
    metadata = {f"k{number}": "x" * 1000 for number in range(60)}
    for number in range(100):
        rig.writer.append(f"s{number}", event("session.updated", {"metadata": metadata}))
    rig.drain(rig.projection())
    for number in range(100):
        rig.writer.append(f"s{number}", turn("t"))
    projection = rig.projection()
    assert peak_of(lambda: rig.drain(projection)) < 8 * LIMIT
    rig.check()


def test_healing_reads_little_and_tells_the_index_how_much_it_wrote(rig: Rig) -> None:
    for number in range(60):
        rig.writer.append("s", turn(f"t{number}", LARGE))
    copy = dump(rig.client)
    for number in range(60, 70):
        rig.writer.append("s", turn(f"t{number}", "short"))
    projection = rig.projection()
    rig.drain(projection)
    restore(rig.client, copy)
    newer = [turn(f"n{number}", LARGE) for number in range(60)]
    for each in newer:
        rig.writer.append("s", each)
    peak = peak_of(lambda: settle(projection, rig.key("s"), "a test says so"))
    assert peak < 8 * LIMIT
    entry = index_of(rig, projection, "s")[-1]
    assert (entry.first, entry.events) == (61, 70)
    assert entry.size > sum(len(each.raw) for each in newer)
    rig.drain(rig.projection())
    rig.audit_all(projection)
    rig.check()


@pytest.fixture
def small_pages() -> Iterator[None]:
    """What a replay or a verification holds of sessions at once is a MB."""
    with (
        patched(copying, "_FLUSH_BYTES", LIMIT),
        patched(verify_sessions, "PAGE_BYTES", LIMIT),
        patched(verify_reading, "_HELD_BYTES", LIMIT),
        patched(verify_reading, "_CHUNK_BYTES", LIMIT),
    ):
        yield


@pytest.mark.usefixtures("small_pages")
def test_a_replay_and_a_verification_of_large_events(rig: Rig) -> None:
    """Postgres is asked for hundreds of rows at once, but not with the bytes of large events."""
    names = [f"s{number}" for number in range(200) if rig.key(f"s{number}").partition == 0]
    for number in range(300):
        rig.writer.append(names[number % 40], turn(f"t{number}", LARGE))
    rig.drain(rig.projection())
    assert peak_of(lambda: replay(rig.postgres_url, tell=lambda _: None)) < 12 * LIMIT
    found: list[object] = []
    assert peak_of(lambda: found.append(run_verify(rig)[1])) < 12 * LIMIT
    assert found == [[]]


@pytest.mark.usefixtures("small_pages")
def test_a_verification_of_a_large_session_of_large_events(rig: Rig) -> None:
    for number in range(100):
        rig.writer.append("s", turn(f"t{number}", LARGE))
    rig.drain(rig.projection())
    with patched(refold, "CHUNK_BYTES", LIMIT):
        found: list[object] = []
        assert peak_of(lambda: found.append(run_verify(rig)[1])) < 8 * LIMIT
    assert found == [[]]
