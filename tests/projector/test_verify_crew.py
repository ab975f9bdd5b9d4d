"""Processes that share out tasks."""

import os

import pytest
from crew_tasks import count, fail, hang
from servers import wait_until

from turnlog_projector.crew import ProcessDied, crew_size, share


@pytest.mark.parametrize("processes", [0, 2])
def test_every_call_is_run_once_and_keeps_what_it_opens(processes: int) -> None:
    made = list(share(count, [(number,) for number in range(5)], processes=processes))
    assert sorted(number for number, _ in made) == sorted([*range(5), *range(5)])
    most = max(uses for _, uses in made)
    assert most == 10 if processes == 0 else 4 <= most <= 10


@pytest.mark.parametrize(
    ("number", "error", "text"),
    [(2, ValueError, "too much"), (3, ProcessDied, "Odd"), (4, ProcessDied, "ended with -9")],
)
def test_an_error_ends_all_of_them(number: int, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        list(share(fail, [(0,), (number,), (0,), (0,)], processes=2))


def test_nobody_stays_behind_when_the_caller_stops_asking() -> None:
    working = share(hang, [(0,), (1,)], processes=2)
    pids = [next(working), next(working)]
    working.close()  # pyright: ignore
    wait_until(lambda: not any(alive(pid) for pid in pids), "the processes are gone")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_small_logs_and_one_process_are_no_crew() -> None:
    assert crew_size(100, None) == crew_size(100, 8) == 0
    assert crew_size(10**6, 1) == 0
    assert crew_size(10**6, 3) == 3
