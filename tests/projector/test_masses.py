"""Single corrupt sessions park; a faulty release stops the projector before it parks the world."""

import pytest
from appending import foreign, poison, turn
from faulty_fold import patched_handler
from rig import Rig, patched
from servers import wait_until

from turnlog_projector import projection as projection_module
from turnlog_projector.errors import MassParking
from turnlog_projector.parking import list_parked, retry

pytestmark = pytest.mark.integration


def parked(rig: Rig) -> list[str]:
    return sorted(each.session_id for each in list_parked(rig.connection))


def stopped(rig: Rig, **settings: object) -> str:
    """What a worker says that stops by itself."""
    worker = rig.worker(**{"park_limit": 5, **settings})
    wait_until(lambda: not worker.alive, "the worker stops")
    with pytest.raises(MassParking) as error:
        worker.stop()
    return str(error.value)


def stops(rig: Rig) -> list[tuple[int, int, int, bool]]:
    rows = rig.connection.execute(
        "SELECT folded, parked, refused, over_at IS NOT NULL FROM turnlog.mass_parkings ORDER BY 1"
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def test_a_faulty_release_stops_and_parks_nothing(rig: Rig) -> None:
    rig.writer.append("before", turn("t0"))
    with rig.worker():
        rig.wait_projected()
    for number in range(40):
        rig.writer.append(f"s{number}", turn("t0"))
    with patched_handler("turn.appended"):
        said = stopped(rig)
        assert "40 sessions were parked, 40 of 40 looked at last" in said
        assert "the fold failed: KeyError" in said
        assert "a fault of ours" not in said
        assert "turnlog parked --retry-all" in said
        assert parked(rig) == []
        stopped(rig)
    assert parked(rig) == []
    with rig.worker(park_limit=5):
        rig.wait_projected()
    assert parked(rig) == []


def test_what_was_parked_before_the_stop_goes_on_by_a_retry(rig: Rig) -> None:
    with patched_handler("turn.appended"):
        worker = rig.worker(park_limit=5)
        for number in range(4):
            rig.writer.append(f"s{number}", turn("t0"))
            wait_until(lambda wanted=number + 1: len(parked(rig)) == wanted, "it is parked")
        rig.writer.append("s4", turn("t0"))
        wait_until(lambda: not worker.alive, "the worker stops")
        assert stops(rig) == [(0, 4, 1, False)]
        # Started again by whatever watches over it, it parks nothing more.
        stopped(rig)
        rig.writer.append("s5", turn("t0"))
        stopped(rig)
    assert parked(rig) == ["s0", "s1", "s2", "s3"]
    with rig.worker(park_limit=5):
        wait_until(lambda: all(each[3] for each in stops(rig)), "the stop is over")
        for number in range(4):
            retry(rig.projection(), "default", f"s{number}")
        rig.writer.append("s0", turn("t1"))
        rig.wait_projected()
    assert parked(rig) == []


def test_a_producer_that_is_ahead_of_the_projector_stops_it(rig: Rig) -> None:
    for number in range(10):
        data = {"turn_id": "t1"}
        rig.writer.append(f"s{number}", foreign("turn.appended", data, version=2))
    assert "upgrade it" in stopped(rig)
    assert parked(rig) == []


def test_corrupt_sessions_among_many_park(rig: Rig) -> None:
    for number in range(200):
        corrupt = number % 20 == 0
        rig.writer.append(f"s{number}", turn("t0"), *([poison()] if corrupt else []))
    with rig.worker(park_limit=5):
        rig.wait_projected()
    assert len(parked(rig)) == 10


def test_without_a_limit_everything_parks(rig: Rig) -> None:
    for number in range(40):
        rig.writer.append(f"s{number}", poison())
    with rig.worker(park_limit=0):
        rig.wait_projected()
    assert len(parked(rig)) == 40


@pytest.mark.parametrize("at_once", [1, 7])
def test_it_makes_no_difference_how_many_come_at_once(rig: Rig, at_once: int) -> None:
    for number in range(40):
        rig.writer.append(f"s{number}", poison())
    with patched(projection_module, "MAX_BATCH_EVENTS", at_once):
        stopped(rig)
    assert len(parked(rig)) < 5
