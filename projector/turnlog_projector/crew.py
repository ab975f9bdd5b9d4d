"""Processes that share out tasks, or none: a task is a generator function, and what it yields comes
to the caller as it is made. Its first argument is a `Kept`.

The processes give way to everything else on the machine, and end when the caller is done, fails, is
interrupted or dies.
"""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from turnlog_projector.collecting import collect_less
from turnlog_schemas.errors import TurnlogError

T = TypeVar("T")
Task = Callable[..., Iterator[T]]

SMALL_LOG_EVENTS = 20_000
"""With fewer events a process takes longer to start than the work takes."""

_NICENESS = 10
_MOST_PROCESSES = 8
_END_SECONDS = 5.0
_LOOK_SECONDS = 0.5


class Kept:
    """What one process keeps open from task to task: connections."""

    def __init__(self) -> None:
        self._open: dict[Any, Any] = {}

    def get(self, key: Any, opened: Callable[[], T]) -> T:
        """What was opened under this key, else open it; it has a `close`."""
        if key not in self._open:
            self._open[key] = opened()
        return self._open[key]

    def close(self) -> None:
        """Close everything."""
        for each in self._open.values():
            each.close()


class ProcessDied(TurnlogError):
    """A process that worked for this one has ended before it was done."""


def crew_size(events: int, processes: int | None) -> int:
    """How many processes to use for that many events: those asked for, else one a core; 0 when it
    is not worth one, and for one."""
    if events < SMALL_LOG_EVENTS:
        return 0
    wanted = processes or min(os.cpu_count() or 1, _MOST_PROCESSES)
    return wanted if wanted > 1 else 0


def share(task: Task[T], calls: Sequence[tuple[Any, ...]], *, processes: int) -> Iterator[T]:
    """Run the task once for each tuple of further arguments, and yield what the runs yield, mixed.
    With 0 processes one run follows the other in this one.

    An error of a run ends all of them and is raised here. Raises `ProcessDied`.
    """
    if processes == 0 or len(calls) < 2:
        with closing(Kept()) as kept:
            for arguments in calls:
                yield from task(kept, *arguments)
        return
    context = multiprocessing.get_context("spawn")
    started: dict[Connection, SpawnProcess] = {}
    waiting = list(reversed(calls))
    try:
        for _ in range(min(processes, len(calls))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, task), daemon=True)
            process.start()
            theirs.close()
            started[ours] = process
            ours.send(waiting.pop())  # it waits in the pipe; a process that dies is met below
        busy = set(started)
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                try:
                    kind, value = ready.recv()
                    if kind == "done" and waiting:
                        ready.send(waiting.pop())
                        continue
                except (EOFError, OSError):
                    started[ready].join(_END_SECONDS)
                    code = started[ready].exitcode
                    raise ProcessDied(
                        f"a process that helped has ended with {code}: try again"
                    ) from None
                if kind == "made":
                    yield value
                elif kind == "failed":
                    raise value
                else:
                    busy.discard(ready)
    finally:
        _end(started)


def _end(started: dict[Connection, SpawnProcess]) -> None:
    for connection, process in started.items():
        connection.close()
        process.terminate()
    deadline = time.monotonic() + _END_SECONDS
    for process in started.values():
        process.join(max(deadline - time.monotonic(), 0.1))
        if process.is_alive():
            process.kill()
            process.join()
        process.close()


def _work(connection: Connection, task: Task[Any]) -> None:
    """Serve the tasks that come, until the other side is gone."""
    kept = Kept()
    # Ctrl-C goes to the whole group of processes: the first one decides, and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.nice(max(_NICENESS - os.nice(0), 0))
    collect_less()
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    while True:
        try:
            arguments = connection.recv()
        except (EOFError, OSError):
            return
        _send(connection, _run(task, (kept, *arguments)))


def _run(task: Task[Any], arguments: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    try:
        for made in task(*arguments):
            yield "made", made
    except Exception as error:
        yield "failed", _portable(error)
        return
    yield "done", None


def _send(connection: Connection, messages: Iterable[tuple[str, Any]]) -> None:
    for message in messages:
        try:
            connection.send(message)
        except OSError:  # the other side is gone
            os._exit(1)


def _portable(error: Exception) -> Exception:
    """The error itself where it can be sent; else one that tells its kind."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:
        return ProcessDied(f"a process that helped failed: {type(error).__name__}")
    return error


def _follow(parent: int) -> None:
    """End with the process that started this one, even in the middle of a long statement."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)
