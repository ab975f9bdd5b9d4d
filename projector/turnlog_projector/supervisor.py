"""`turnlog projector --workers N`: one process a worker, so that folding uses every core."""

import logging
import multiprocessing
import os
import signal
import time
from multiprocessing.process import BaseProcess

from turnlog_projector.collecting import collect_less
from turnlog_projector.database import check_redis, check_schema, connect_postgres, connect_redis
from turnlog_projector.logs import set_up_logging
from turnlog_projector.metrics import MetricsServer
from turnlog_projector.settings import Settings
from turnlog_projector.worker import Worker
from turnlog_schemas.errors import TurnlogError

_RESTART_SECONDS = 1.0
_STOP_SECONDS = 20.0
_SAID_WHY = 3
"""Exit code of a worker that an operator has to help; Python itself ends with 1 after a fault."""

logger = logging.getLogger(__name__)


class _Stop:
    """Set by SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self._set = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, *_signal: object) -> None:
        self._set = True

    def __call__(self) -> bool:
        return self._set


def run_projector(settings: Settings, *, workers: int = 1) -> int:
    """Project until a signal comes; the exit code. With several workers, one that dies is started
    again. Raises a `TurnlogError` when an operator has to do something first."""
    set_up_logging(settings)
    metrics = MetricsServer(settings) if settings.metrics_port else None
    try:
        return _run(settings, workers)
    finally:
        if metrics is not None:
            metrics.close()


def _run(settings: Settings, workers: int) -> int:
    if workers == 1:
        collect_less()
        Worker(settings, _Stop()).run()
        return 0
    with connect_postgres(settings.postgres_url) as connection:
        check_schema(connection)
    check_redis(connect_redis(settings.redis_url))
    return _supervise(settings, workers)


def _supervise(settings: Settings, workers: int) -> int:
    stop = _Stop()
    context = multiprocessing.get_context("spawn")

    def start(number: int) -> BaseProcess:
        process = context.Process(
            target=_worker_process, args=(settings, os.getpid()), name=f"worker-{number}"
        )
        process.start()
        return process

    running = [start(number) for number in range(workers)]
    while not stop():
        time.sleep(0.2)
        for number, process in enumerate(running):
            if process.is_alive() or stop():
                continue
            if process.exitcode == _SAID_WHY:
                # The others meet the same.
                _end(running)
                return 1
            logger.warning("worker %d ended with %s: starting another", number, process.exitcode)
            time.sleep(_RESTART_SECONDS)
            running[number] = start(number)
    _end(running)
    return 0


def _end(running: list[BaseProcess]) -> None:
    for process in running:
        process.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for process in running:
        process.join(max(deadline - time.monotonic(), 0.1))
        if process.is_alive():
            process.kill()


def _worker_process(settings: Settings, parent: int) -> None:
    set_up_logging(settings)
    stop = _Stop()
    collect_less()
    try:
        Worker(settings, lambda: stop() or os.getppid() != parent).run()
    except TurnlogError as error:
        logger.error("%s", error)
        raise SystemExit(_SAID_WHY) from None
