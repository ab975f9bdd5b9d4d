"""Running exports that were asked for, in a process of its own: turning a million turns into text
takes a minute, which requests would otherwise wait for.

The process takes one export after another until none waits. It reads as the export's owner may, in
one REPEATABLE READ transaction, so that a file shows one moment; it writes the file in parts of one
MiB over a second connection; every second a thread renews the lease. When the process dies,
another one takes the export on, from its beginning, once the lease has run out.
"""

import json
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
import zstandard
from psycopg import IsolationLevel

from turnlog_api.exporting import LARGE, Chosen, ExportOptions, Output, export, run
from turnlog_api.exportqueries import Total, export_total
from turnlog_api.queries import Filters, Query, active_generation, fetch
from turnlog_api.reading import with_role
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_projector.collecting import collect_less
from turnlog_projector.database import Database, connect_postgres, one_line
from turnlog_projector.errors import ServerUnavailable
from turnlog_projector.generations import NoSuchGeneration
from turnlog_projector.logs import set_up_logging
from turnlog_projector.settings import Settings
from turnlog_schemas.errors import TurnlogError

PART_BYTES = 1024 * 1024
"""Every part of a file but the last has this size, before compression."""

MOST_ATTEMPTS = 3
_ZSTD_LEVEL = 3
_MOST_TELL_S = 1.0

logger = logging.getLogger(__name__)


class WorkSettings(NamedTuple):
    """What the process is told."""

    settings: Settings
    """A runner that is silent for `lease_seconds` has lost the export."""
    keep_s: float
    """How long a file is kept."""

    @property
    def postgres_url(self) -> str:
        return self.settings.postgres_url

    @property
    def lease_s(self) -> float:
        return self.settings.lease_seconds


class Claimed(NamedTuple):
    """An export that this process runs."""

    export_id: str
    scope: Scope
    chosen: Chosen
    options: ExportOptions
    attempt: int


class Lost(Exception):
    """The export was removed, or somebody else runs it: nothing is to be written any more."""


def work(settings: WorkSettings, parent: int) -> None:
    """Run exports until none waits. What is under way when the process is told to end, or its
    parent is gone, waits again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which ends this one
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    set_up_logging(settings.settings)
    collect_less()
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    with (
        suppress(KeyboardInterrupt, ServerUnavailable, psycopg.OperationalError),
        connect_postgres(
            with_role(settings.postgres_url), application_name="turnlog api export"
        ) as connection,
    ):
        connection.execute("SET default_transaction_read_only = off")
        while (claimed := _claim(connection, settings)) is not None:
            _run(connection, settings, claimed)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _claim(connection: Database, settings: WorkSettings) -> Claimed | None:
    params = {"lease_s": settings.lease_s, "most_attempts": MOST_ATTEMPTS}
    row = connection.execute(sql("export_claim", 0), params).fetchone()
    if row is None:
        return None
    export_id, tenant, owner, options, attempt = row
    chosen, wanted = read_options(options)
    return Claimed(export_id, Scope(tenant, owner), chosen, wanted, attempt)


def write_options(chosen: Chosen, options: ExportOptions) -> str:
    """What was asked for, as JSON: what was left out is left out."""
    given: dict[str, Any] = {**options._asdict(), **chosen.filters._asdict()}
    given["session_ids"] = list(chosen.session_ids)
    return json.dumps({name: value for name, value in given.items() if value not in (None, [])})


def read_options(text: str) -> tuple[Chosen, ExportOptions]:
    """The same back."""
    given: dict[str, Any] = json.loads(text)
    options = {name: given[name] for name in ExportOptions._fields if name in given}
    filters = {name: given[name] for name in Filters._fields if name in given}
    chosen = Chosen(Filters(**filters), tuple(given.get("session_ids", ())))
    return chosen, ExportOptions(**options)


def _run(connection: Database, settings: WorkSettings, claimed: Claimed) -> None:
    """One export, and what becomes of it."""
    began = time.monotonic()
    job = _Job(connection, settings, claimed)
    try:
        job.write()
    except Lost:
        logger.info("export %s was taken away", claimed.export_id)
    except KeyboardInterrupt:
        with suppress(psycopg.Error):  # else the lease tells, after a while
            job.end("waiting")
        raise
    except NoSuchGeneration:  # dropped between a look at which is read, and the reading
        job.end("waiting")
    except ServerUnavailable:
        raise  # as below
    except TurnlogError as error:
        job.end("failed", str(error))
    except psycopg.errors.QueryCanceled:
        job.end("failed", "Postgres took too long to answer")
    except psycopg.OperationalError:
        raise  # Postgres is gone, and with it the lease: somebody begins again
    except psycopg.Error as error:
        job.end("failed", one_line(error))
    except Exception as error:  # its text may hold what people wrote
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} in {place.name}"
        logger.error("export %s failed: %s:%d", claimed.export_id, what, place.lineno or 0)
        job.end("failed", what)
    else:
        logger.info(
            "export %s: %d bytes in %.1f s",
            *(claimed.export_id, job.file.bytes, time.monotonic() - began),
        )


class _Job:
    """An export under way."""

    def __init__(self, connection: Database, settings: WorkSettings, claimed: Claimed) -> None:
        self.file = _File(self._put)
        self._connection = connection
        self._settings = settings
        self._claimed = claimed
        self._sessions = self._missing = self._done = 0
        self._total = Total(0, 0, 0)
        self._lock = threading.Lock()
        """Of the connection, and of what is counted."""
        self._ended = threading.Event()
        connection.execute(sql("read_as", 0).replace("true", "false"), claimed.scope.settings())

    def write(self) -> None:
        """Read, and write the file to its end. Raises `Lost`."""
        claimed = self._claimed
        threading.Thread(target=self._beat, daemon=True).start()
        with connect_postgres(
            with_role(self._settings.postgres_url), application_name="turnlog api export"
        ) as reading:
            reading.isolation_level = IsolationLevel.REPEATABLE_READ
            with reading.transaction():
                ask = AsReader(reading)
                self._total = self._count(ask)
                for output in run(
                    export(claimed.scope, claimed.chosen, claimed.options, LARGE), ask
                ):
                    if self._ended.is_set():
                        raise Lost
                    with self._lock:
                        self._sessions += output.sessions
                        self._missing += output.missing
                        self._done += output.items
                        self.file.write(output)
        with self._lock:
            self.file.close()
            self._tell()
        self.end("done")

    def end(self, state: str, error: str | None = None) -> None:
        """Write down what became of it."""
        self._ended.set()
        params = {**self._where(), "state": state, "keep_s": self._settings.keep_s, "error": error}
        with self._lock, self._connection.transaction():
            ended = self._connection.execute(sql("export_end", 0), params).fetchone()
            if ended is not None and state != "done":
                self._connection.execute(sql("export_drop_parts", 0), self._where())

    def _count(self, ask: Callable[[Query[Any]], Any]) -> Total:
        if self._claimed.chosen.session_ids:
            return Total(len(self._claimed.chosen.session_ids), 0, 0)
        return ask(export_total(self._claimed.scope, self._claimed.chosen.filters))

    def _where(self) -> dict[str, Any]:
        return {"export_id": self._claimed.export_id, "attempt": self._claimed.attempt}

    def _progress(self) -> dict[str, Any]:
        of_events = self._claimed.options.format == "jsonl"
        total = self._total.events if of_events else self._total.turns
        return {
            **self._where(),
            "lease_s": self._settings.lease_s,
            "sessions": self._sessions,
            "total_sessions": self._total.sessions,
            "missing": self._missing,
            "done": self._done,
            "total": max(total, self._done),
            "bytes": self.file.bytes,
        }

    def _beat(self) -> None:
        """Renew the lease, and tell how far the export is: one statement may take long."""
        while not self._ended.wait(min(_MOST_TELL_S, self._settings.lease_s / 4)):
            try:
                with self._lock:
                    if not self._ended.is_set():
                        self._tell()
            except (Lost, psycopg.Error):
                self._ended.set()

    def _tell(self) -> None:
        self._write("export_tell", self._progress())

    def _put(self, part: int, data: bytes, session_ids: list[str]) -> None:
        params = {**self._progress(), "part": part, "data": data, "session_ids": session_ids}
        self._write("export_put_part", params)

    def _write(self, name: str, params: dict[str, Any]) -> None:
        if self._connection.execute(sql(name, 0), params).fetchone() is None:
            raise Lost


class _File:
    """Cuts what is written into parts, and hands each on compressed."""

    def __init__(self, put: Callable[[int, bytes, list[str]], None]) -> None:
        self.bytes = 0
        """Of the parts that were handed on."""
        self._put = put
        self._rest = bytearray()
        self._session_ids: dict[str, None] = {}
        self._part = 0
        self._compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)

    def write(self, output: Output) -> None:
        if output.session_id:
            self._session_ids[output.session_id] = None
        self._rest += output.data
        while len(self._rest) >= PART_BYTES:
            self._hand_on(bytes(self._rest[:PART_BYTES]))
            del self._rest[:PART_BYTES]
            self._session_ids = {output.session_id: None} if output.session_id else {}

    def close(self) -> None:
        if self._rest:
            self._hand_on(bytes(self._rest))

    def _hand_on(self, data: bytes) -> None:
        self.bytes += len(data)
        self._put(self._part, self._compressor.compress(data), list(self._session_ids))
        self._part += 1


class AsReader:
    """Asks over a plain connection, within a transaction that shows one moment, as the reader that
    a question names."""

    def __init__(self, connection: Database) -> None:
        self._connection = connection
        self._generation = active_generation(connection)
        self._said: dict[str, str] = {}

    def __call__(self, query: Query[Any]) -> Any:
        assert query.scope is not None, "every question of an export says who reads"
        reader = query.scope.settings(query.params.get("session_id", ""))
        if reader != self._said:
            self._connection.execute(sql("read_as", 0), reader)
            self._said = reader
        return fetch(self._connection, query, generation=self._generation)
