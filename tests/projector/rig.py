"""A log and its database, and projections over them that a test moves by hand."""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import cast

import redis
from appending import Writer
from psycopg import sql
from servers import wait_until
from truth import check_everything

from turnlog_projector.audit import audit, settle
from turnlog_projector.batch import LostPartition
from turnlog_projector.database import Database, connect_postgres, connect_redis
from turnlog_projector.erasing import clean
from turnlog_projector.init import initialise
from turnlog_projector.log import LogReader, SessionKey
from turnlog_projector.projection import AnchorLost, Projection, StreamBroken
from turnlog_projector.settings import Settings
from turnlog_projector.worker import Worker
from turnlog_schemas.ids import partition_of


class Rig:
    """One log over a Redis and a Postgres database of its own."""

    def __init__(self, redis_url: str, postgres_url: str, *, partitions: int = 4) -> None:
        self.redis_url = redis_url
        self.postgres_url = postgres_url
        self.partitions = partitions
        initialise(redis_url, postgres_url, partitions=partitions)
        self.client = redis.Redis.from_url(redis_url)
        self.connection: Database = connect_postgres(postgres_url)
        self.writer = Writer(self.client, partitions=partitions)
        self._open: list[Projection] = []

    def close(self) -> None:
        """Close every connection."""
        for projection in self._open:
            self.discard(projection)
        self.connection.close()
        self.client.close()

    def projection(self) -> Projection:
        """A projection over connections of its own that believes to own every partition."""
        log = LogReader(connect_redis(self.redis_url), self.partitions)
        projection = Projection(log, connect_postgres(self.postgres_url))
        projection.reload(range(self.partitions))
        self._open.append(projection)
        return projection

    def discard(self, projection: Projection) -> None:
        """What remains of a worker that died: nothing."""
        projection.log.client.close()
        projection.connection.close()

    def key(self, session_id: str) -> SessionKey:
        """A session of the default tenant."""
        return SessionKey(
            partition_of("default", session_id, self.partitions), "default", session_id
        )

    def step(self, projection: Projection) -> bool:
        """One round of what a worker does; False when there was nothing left to do."""
        with suppress(LostPartition):  # it has then read the offsets again
            try:
                events, more = projection.project(range(self.partitions))
            except AnchorLost as error:
                self._audit(projection, error.partition, move_anchor=True)
            except StreamBroken as error:
                settle(projection, error.key, error.reason)
            else:
                return bool(events or more) or self._behind(projection)
        return True

    def drain(self, projection: Projection) -> None:
        """Project until nothing is left."""
        for _ in range(300):
            if not self.step(projection):
                return self.clean(projection)
        raise AssertionError("300 rounds of projection came to no end")

    def clean(self, projection: Projection) -> None:
        """Take out of Redis what is erased, as a worker does."""
        for _ in range(20):
            cleaned = clean(projection.log, projection.connection, range(self.partitions))
            for key in cleaned.stale:
                with suppress(LostPartition):
                    settle(projection, key, "it is to be cleaned of what was erased")
            if not cleaned.stale and not cleaned.more:
                return
        raise AssertionError("20 rounds of cleaning came to no end")

    def audit(self, projection: Projection, partition: int, *, move_anchor: bool = False) -> int:
        """A whole audit; how many sessions it put right. Without an anchor nothing is projected
        meanwhile, as in a worker."""
        while True:
            with suppress(LostPartition):
                return self._audit(projection, partition, move_anchor=move_anchor)

    def _audit(self, projection: Projection, partition: int, *, move_anchor: bool) -> int:
        wrong = 0
        for step in audit(projection, partition, move_anchor=move_anchor):
            wrong += step or 0
            if not move_anchor:
                self.step(projection)
        return wrong

    def audit_all(self, projection: Projection) -> int:
        """Audit every partition, then project what is left."""
        wrong = sum(self.audit(projection, partition) for partition in range(self.partitions))
        self.drain(projection)
        return wrong

    def check(self) -> None:
        """Everything in both stores is as the log says."""
        faults = check_everything(self.client, self.connection, partitions=self.partitions)
        assert not faults, "\n".join(faults)

    def count(self, table: str) -> int:
        """How many rows a durable table has."""
        row = self.connection.execute(
            sql.SQL("SELECT count(*) FROM turnlog.{}").format(sql.Identifier(table))
        ).fetchone()
        assert row is not None
        return row[0]

    def _behind(self, projection: Projection) -> bool:
        ends = projection.log.index_ends(range(self.partitions))
        return any(
            end is not None and end.n != projection.offsets[partition].n
            for partition, end in enumerate(ends)
        )

    def worker(self, **settings: object) -> "RunningWorker":
        """A worker in a thread; it runs until stopped."""
        values = {"lease_seconds": 1.0, "audit_seconds": 300.0, **settings}
        return RunningWorker(
            Settings(redis_url=self.redis_url, postgres_url=self.postgres_url, **values)  # pyright: ignore[reportArgumentType]
        )

    def wait_projected(self, timeout_s: float = 15.0) -> None:
        """Wait until read models and archive have everything that Redis has."""
        wait_until(
            lambda: not check_everything(self.client, self.connection, partitions=self.partitions),
            "the read models equal the log",
            timeout_s,
        )


class RunningWorker:
    """A `Worker` in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._stop = threading.Event()
        self.error: BaseException | None = None
        self._worker = Worker(settings, self._stop.is_set)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._worker.run()
        except BaseException as error:  # handed to the test by `error`
            self.error = error

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop it as a signal would; raises what it died of."""
        self._stop.set()
        self._thread.join(20)
        assert not self.alive, "the worker does not stop"
        if self.error is not None:
            raise self.error

    def __enter__(self) -> "RunningWorker":
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(20)


def dump(client: redis.Redis) -> dict[bytes, bytes]:
    """A copy of all that Redis holds."""
    keys = cast(list[bytes], client.keys())
    return {key: cast(bytes, client.dump(key)) for key in keys}


def restore(client: redis.Redis, copy: dict[bytes, bytes]) -> None:
    """Redis as it was when the copy was made: what came later is gone."""
    client.flushdb()
    for key, value in copy.items():
        client.restore(key, 0, value)


@contextmanager
def patched(owner: object, name: str, value: object) -> Generator[None]:
    """Another value for an attribute, for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
