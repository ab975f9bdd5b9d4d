"""Making a timeline much longer, in a process of its own: folding thousands of events takes
seconds, and within the server would take every second turn from the requests being answered."""

import asyncio
import signal
import threading
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import cast

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

_LOOK_S = 0.2

_spawn = get_context("spawn")


class WalkFailed(Exception):
    """The process has ended without an answer."""


async def extend_apart(url: str, timeline: Timeline, decoder: Decoder, upto: int) -> Timeline:
    """The timeline up to an archived event, or to the one before that which cannot be folded. When
    nobody waits any more the process is killed.

    Raises `Gap`, `ServerUnavailable`, and `WalkFailed` for a fault of ours.
    """
    stop = threading.Event()
    try:
        return await asyncio.to_thread(_wait, url, timeline, decoder, upto, stop)
    finally:
        stop.set()


def _wait(
    url: str, timeline: Timeline, decoder: Decoder, upto: int, stop: threading.Event
) -> Timeline:
    ours, theirs = _spawn.Pipe(duplex=False)
    process = _spawn.Process(
        target=_walk,
        args=(theirs, url, timeline, decoder, upto),
        name="turnlog history",
        daemon=True,
    )
    process.start()
    theirs.close()
    try:
        while not ours.poll(_LOOK_S):
            if stop.is_set():
                raise WalkFailed("nobody waits for it any more")
        reply = cast(Timeline | Exception, ours.recv())
    except EOFError:
        raise WalkFailed("the process that folds a long history died") from None
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
    if isinstance(reply, Exception):
        raise reply
    return reply


def _walk(answer: Connection, url: str, timeline: Timeline, decoder: Decoder, upto: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which ends this one
    collect_less()
    reply: Timeline | Exception
    try:
        reply = _extended(url, timeline, decoder, upto)
    except Gap:
        reply = Gap()
    except (ServerUnavailable, psycopg.OperationalError):
        reply = ServerUnavailable("Postgres does not answer")
    with suppress(BrokenPipeError):  # the server is gone
        answer.send(reply)


def _extended(url: str, timeline: Timeline, decoder: Decoder, upto: int) -> Timeline:
    key = decoder.key
    scope = Scope(key.tenant, only_session=key.session_id)
    with (
        connect_postgres(with_role(url), application_name="turnlog api history") as connection,
        connection.transaction(),
    ):
        connection.execute(sql("read_as", 0), scope.settings())
        return run(extend(timeline, decoder, upto), ArchiveReader(connection, key))
