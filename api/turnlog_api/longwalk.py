"""Making timelines much longer, in processes of their own: folding thousands of events takes
seconds, and within the server would take every second turn from the requests being answered.

A process is started when it is first needed, and ends when it was not needed for a while, or when
the server is gone: then its end of the pipe tells.
"""

import asyncio
import signal
import threading
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import NamedTuple, cast

import psycopg

from turnlog_api.logsteps import ArchiveReader, Decoder, Gap, run
from turnlog_api.moments import extend
from turnlog_api.reading import with_role
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_api.timeline import Timeline
from turnlog_projector.collecting import collect_less
from turnlog_projector.database import connect_postgres
from turnlog_projector.errors import ServerUnavailable

_IDLE_S = 60.0
_LOOK_S = 0.2

_spawn = get_context("spawn")


class WalkFailed(Exception):
    """A process has ended without an answer."""


class _Task(NamedTuple):
    timeline: Timeline
    decoder: Decoder
    upto: int


class Walkers:
    """The processes, at most `most` of them at work."""

    def __init__(self, url: str, *, most: int) -> None:
        self._url = url
        self._room = asyncio.Semaphore(most)
        self._idle: list[_Walker] = []

    def close(self) -> None:
        while self._idle:
            self._idle.pop().kill()

    async def extend(self, timeline: Timeline, decoder: Decoder, upto: int) -> Timeline:
        """The timeline up to an archived event, or to the one before that which cannot be folded.
        When nobody waits for it any more, the process that is at it is killed.

        Raises `Gap`, `ServerUnavailable`, and `WalkFailed` for a fault of ours.
        """
        task = _Task(timeline, decoder, upto)
        stop = threading.Event()
        async with self._room:
            try:
                reply = await asyncio.to_thread(self._do, task, stop)
            finally:
                stop.set()
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _do(self, task: _Task, stop: threading.Event) -> Timeline | Exception:
        while self._idle:
            with suppress(WalkFailed):  # it may have ended meanwhile, for it was idle too long
                return self._ask(self._idle.pop(), task, stop)
        return self._ask(_Walker(self._url), task, stop)

    def _ask(self, walker: "_Walker", task: _Task, stop: threading.Event) -> Timeline | Exception:
        try:
            reply = walker.ask(task, stop)
        except BaseException:
            walker.kill()
            raise
        self._idle.append(walker)
        return reply


class _Walker:
    """One process, seen from the server."""

    def __init__(self, url: str) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(
            target=_work, args=(theirs, url), name="turnlog history", daemon=True
        )
        self._process.start()
        theirs.close()

    def ask(self, task: _Task, stop: threading.Event) -> Timeline | Exception:
        try:
            self._pipe.send(task)
            while not self._pipe.poll(_LOOK_S):
                if stop.is_set():
                    raise WalkFailed("nobody waits for it any more")
            return cast(Timeline | Exception, self._pipe.recv())
        except (EOFError, OSError):
            raise WalkFailed("the process that folds a long history has ended") from None

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()


def _work(pipe: Connection, url: str) -> None:
    """What the process does: one task after another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which ends this one
    collect_less()
    with suppress(EOFError, BrokenPipeError):  # the server is gone
        while pipe.poll(_IDLE_S):
            pipe.send(_reply(url, cast(_Task, pipe.recv())))


def _reply(url: str, task: _Task) -> Timeline | Exception:
    key = task.decoder.key
    scope = Scope(key.tenant, only_session=key.session_id)
    try:
        with (
            connect_postgres(with_role(url), application_name="turnlog api history") as connection,
            connection.transaction(),
        ):
            connection.execute(sql("read_as", 0), scope.settings())
            return run(
                extend(task.timeline, task.decoder, task.upto), ArchiveReader(connection, key)
            )
    except Gap:
        return Gap()
    except (ServerUnavailable, psycopg.OperationalError):
        return ServerUnavailable("Postgres does not answer")
