"""Search as a duty of the worker that owns a partition: in a thread and over a connection of its
own, so that projection never waits for it, whatever an index takes.

While the worker is busy with projecting, search takes a small share only; it catches up afterwards.
"""

import logging
import threading
import time
import traceback
from collections.abc import Collection

import psycopg

from turnlog_projector.database import Database, connect_postgres, one_line
from turnlog_projector.errors import ServerUnavailable
from turnlog_projector.generations import active_generation
from turnlog_projector.search_index import index_some
from turnlog_projector.sqlfiles import statement

_LOOK_SECONDS = 1.0
"""Between two looks for what nobody has told of: sessions to be made again, taken partitions."""

_REST_SECONDS = 0.1
"""After search was brought up to date, so that the next batch is worth its transaction."""

_BUSY_WAIT_SECONDS = 5.0
"""A worker that projects all the time lets search do one batch this often."""

_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0)
_STOP_SECONDS = 20.0

logger = logging.getLogger(__name__)


class SearchDuty:
    """What one worker does about search. `owned` and `busy` are set by the worker."""

    def __init__(self, postgres_url: str) -> None:
        self.owned: Collection[int] = ()
        """The partitions to index."""
        self._url = postgres_url
        self._busy = False
        self._ready = threading.Condition()
        self._told = False
        """There is something to index, presumably."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="search", daemon=True)

    def __enter__(self) -> "SearchDuty":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._ready:
            self._stopping = True
            self._ready.notify()
        self._thread.join(_STOP_SECONDS)

    def tell(self, *, busy: bool) -> None:
        """Events were projected, or the worker has come to rest."""
        if not busy and not self._busy:
            return  # as before
        with self._ready:
            self._busy = busy
            self._told = True
            self._ready.notify()

    def _run(self) -> None:
        failures, reason = 0, ""
        while not self._stopping:
            began = time.monotonic()
            try:
                with connect_postgres(self._url, application_name="turnlog search") as connection:
                    self._connected(connection)
                continue
            except (psycopg.Error, ServerUnavailable, OSError) as error:
                said = one_line(error)
            except Exception as error:  # a fault of ours; its text may hold what people wrote
                place = traceback.extract_tb(error.__traceback__)[-1]
                said = f"{type(error).__name__} in {place.name} ({place.filename}:{place.lineno})"
            if time.monotonic() - began > 60.0:
                failures, reason = 0, ""
            if said != reason:
                logger.warning("search waits: %s", said)
            reason = said
            self._wait(_BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)])
            failures += 1

    def _connected(self, connection: Database) -> None:
        # Rows and offset are lost together, if at all, and made again.
        connection.execute("SET synchronous_commit = off")
        generation, unsettled = active_generation(connection), 0
        while not self._stopping:
            self._give_way()
            self._told = False
            partitions = self._behind(connection, generation)
            if partitions:
                done = index_some(connection, generation, partitions)
                unsettled += done.rows
                if not done.more:
                    self._rest(_REST_SECONDS)
                continue
            active = active_generation(connection)
            if active != generation:
                generation, unsettled = active, 0
                continue
            if not self._wait(_LOOK_SECONDS) and unsettled:
                # Quiet: what waits in the list of the index makes every search slower.
                connection.execute(statement("settle_search", generation=generation))
                unsettled = 0

    def _behind(self, connection: Database, generation: int) -> list[int]:
        owned = sorted(self.owned)
        if not owned:
            return []
        rows = connection.execute(
            statement("search_behind"), {"generation": generation, "partitions": owned}
        )
        return [row[0] for row in rows]

    def _give_way(self) -> None:
        """Wait while the worker projects, up to a bound."""
        deadline = time.monotonic() + _BUSY_WAIT_SECONDS
        with self._ready:
            self._ready.wait_for(
                lambda: self._stopping or not self._busy, deadline - time.monotonic()
            )

    def _wait(self, seconds: float) -> bool:
        """Until there is something to do; False when the time is over before."""
        with self._ready:
            return self._ready.wait_for(lambda: self._stopping or self._told, seconds)

    def _rest(self, seconds: float) -> None:
        """Whatever there is to do meanwhile, unless it is time to stop."""
        with self._ready:
            self._ready.wait_for(lambda: self._stopping, seconds)
