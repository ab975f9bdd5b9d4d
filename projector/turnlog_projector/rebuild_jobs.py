"""Replays that were asked for by way of the API: rows of `turnlog.rebuilds`, one at a time, each
run in a process of its own."""

import logging
import os
import signal
import threading
import time
import traceback
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
from pydantic import TypeAdapter

from turnlog_projector.collecting import collect_less
from turnlog_projector.database import Database, connect_postgres, one_line
from turnlog_projector.errors import ServerUnavailable
from turnlog_projector.following import Progress, Tell
from turnlog_projector.generations import active_generation
from turnlog_projector.log import SessionKey
from turnlog_projector.logs import set_up_logging
from turnlog_projector.replay import replay
from turnlog_projector.replay_session import replay_session
from turnlog_projector.replay_until import Point, replay_until
from turnlog_projector.replaying import ReplayUnderWay
from turnlog_projector.settings import Settings
from turnlog_projector.sqlfiles import statement
from turnlog_projector.verify import count_partitions
from turnlog_projector.verify_differences import Difference
from turnlog_schemas.errors import TurnlogError
from turnlog_schemas.ids import partition_of

_TELL_SECONDS = 0.5

logger = logging.getLogger(__name__)


class RebuildOptions(NamedTuple):
    """What to replay: everything, or one session, up to now or up to a point."""

    tenant: str | None = None
    session_id: str | None = None
    until_recorded_at: int | None = None
    until_seq: int | None = None
    name: str | None = None


class _Made(NamedTuple):
    """What a rebuild has made."""

    generation: int
    former: int | None
    digest: str | None


OPTIONS = TypeAdapter(RebuildOptions)


def run_rebuild(settings: Settings, rebuild: int, parent: int) -> None:
    """Run one rebuild in this process, which is made for it, and note what becomes of it. It is
    broken off, and leaves nothing behind, when it is cancelled, on a signal, and when the process
    that has started this one is gone; in these last cases it is begun again by the next."""
    set_up_logging(settings)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    collect_less()
    url = settings.postgres_url
    with connect_postgres(url, application_name="turnlog rebuild") as connection:
        row = connection.execute(statement("begin_rebuild"), (rebuild,)).fetchone()
        if row is None:
            return
        logger.info("rebuild %d begins", rebuild)
        live = active_generation(connection)
        job = _Job(url, rebuild, parent)
        threading.Thread(target=job.watch, daemon=True).start()
        try:
            made = _perform(settings, OPTIONS.validate_json(row[0]), job.tell)
        except ReplayUnderWay as error:
            job.end(connection, "waiting", phase=str(error))
        except KeyboardInterrupt:
            now = active_generation(connection)
            if now != live:  # it came too late
                job.end(connection, "done", phase="done", made=_Made(now, live, None))
            else:
                state = "cancelled" if job.cancelled else "waiting"
                job.end(connection, state, phase="broken off")
        except TurnlogError as error:
            job.end(connection, "failed", error=str(error))
        except (psycopg.Error, OSError) as error:
            job.end(connection, "failed", error=one_line(error))
        except Exception as error:  # its text may hold what people wrote
            place = traceback.extract_tb(error.__traceback__)[-1]
            job.end(connection, "failed", error=f"{type(error).__name__} in {place.name}")
            raise
        else:
            job.end(connection, "done", phase="done", made=made)


class _Job:
    """What is told of a running rebuild, and whether it is to go on."""

    def __init__(self, url: str, rebuild: int, parent: int) -> None:
        self._url = url
        self._rebuild = rebuild
        self._parent = parent
        self._progress = Progress("begins", 0, 0)
        self.cancelled = False

    def tell(self, progress: Progress) -> None:
        """Note how far it is; it is written down now and then."""
        self._progress = progress

    def end(
        self,
        connection: Database,
        state: str,
        *,
        phase: str | None = None,
        made: _Made | None = None,
        error: str | None = None,
    ) -> None:
        """Write down what became of it."""
        logger.info("rebuild %d: %s%s", self._rebuild, state, f", {error}" if error else "")
        ended: dict[str, Any] = {**self._progress._asdict(), "rebuild": self._rebuild}
        ended |= {"state": state, "phase": phase or self._progress.phase, "error": error}
        ended |= made._asdict() if made else {"generation": None, "former": None, "digest": None}
        connection.execute(statement("end_rebuild"), ended)

    def watch(self) -> None:
        """Write down the progress; break the rebuild off by a signal when it is cancelled or its
        parent is gone: a single statement of it may take minutes."""
        while os.getppid() == self._parent and not self.cancelled:
            with suppress(psycopg.Error, ServerUnavailable):  # the rebuild itself meets that too
                self._write_down()
            time.sleep(_TELL_SECONDS)
        os.kill(os.getpid(), signal.SIGINT)

    def _write_down(self) -> None:
        with connect_postgres(self._url, application_name="turnlog rebuild") as connection:
            while os.getppid() == self._parent and not self.cancelled:
                told = {**self._progress._asdict(), "rebuild": self._rebuild}
                row = connection.execute(statement("tell_rebuild"), told).fetchone()
                self.cancelled = row is None or row[0]
                time.sleep(_TELL_SECONDS)


def _perform(settings: Settings, options: RebuildOptions, tell: Tell) -> _Made:
    url = settings.postgres_url
    point = None
    if options.until_recorded_at is not None or options.until_seq is not None:
        point = Point(options.until_recorded_at, options.until_seq)
    if options.session_id is None or options.tenant is None:
        if point is None:
            report = replay(
                url,
                tell=tell,
                park_limit=settings.park_limit,
                park_percent=settings.park_percent,
            )
            return _Made(report.generation, report.former, report.digest)
        looked = replay_until(url, point, tell=tell, name=options.name)
        return _Made(looked.generation, None, looked.digest)
    if point is None:
        done = replay_session(url, options.tenant, options.session_id, report=_unheard)
        return _Made(done.generation, None, done.digest)
    with connect_postgres(url) as connection:
        partition = partition_of(options.tenant, options.session_id, count_partitions(connection))
    key = SessionKey(partition, options.tenant, options.session_id)
    looked = replay_until(url, point, tell=tell, key=key, name=options.name)
    return _Made(looked.generation, None, looked.digest)


def _unheard(_: Difference) -> None:
    """Whoever asks by way of the API hears how many there were, at most."""
