"""Metrics of the log as a whole, for Prometheus: how much there is, how far the projection is.

They are read from both servers when somebody asks, not counted by workers: so they are the same
whoever answers, survive restarts, and cost a projecting worker nothing. Tenants, users and sessions
are never labels.
"""

import logging
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, NamedTuple, cast

import psycopg
import redis
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from turnlog_producers.keys import Keys, heads_key, index_key
from turnlog_projector.database import Database, connect_postgres, connect_redis, one_line
from turnlog_projector.log import IndexEntry, LogReader
from turnlog_projector.settings import BadSettings, Settings
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.errors import TurnlogError

COUNTED_ENTRIES = 200
"""Index entries looked at to count the events that a partition is behind; each further one counts
as one event."""
_TIMEOUT_S = 5.0

logger = logging.getLogger(__name__)


class Described(NamedTuple):
    """A metric: its name as Prometheus shows it, its kind, what it says, and its labels."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()

    def family(self) -> Metric:
        """An empty one, to be filled with values."""
        if self.kind == "counter":
            return CounterMetricFamily(self.name, self.help, labels=self.labels)
        return GaugeMetricFamily(self.name, self.help, labels=self.labels)


UP = Described("turnlog_up", "gauge", "1 while the server answers, else 0.", ("server",))
SESSIONS = Described("turnlog_sessions", "gauge", "Sessions that the log knows.")
APPENDED = Described(
    "turnlog_appends_total", "counter", "Appends that the log has taken (index entries)."
)
PROJECTED = Described(
    "turnlog_projected_events_total", "counter", "Events that are archived and folded, or parked."
)
ENTRIES_BEHIND = Described(
    "turnlog_lag_appends", "gauge", "Appends that are not projected yet.", ("partition",)
)
EVENTS_BEHIND = Described(
    "turnlog_lag_events",
    "gauge",
    f"Events that are not projected yet; beyond {COUNTED_ENTRIES} appends at least so many.",
    ("partition",),
)
SECONDS_BEHIND = Described(
    "turnlog_lag_seconds",
    "gauge",
    "Age of the oldest event that is not projected yet, by the clock of Redis.",
    ("partition",),
)
GENERATION = Described("turnlog_generation", "gauge", "The generation of read models in use.")
WORKERS = Described("turnlog_workers", "gauge", "Projector workers that are alive.")
PARKED = Described(
    "turnlog_parked_sessions", "gauge", "Sessions that wait at an event that cannot be folded."
)
SKIPPED = Described("turnlog_skipped_events", "gauge", "Events that an operator declared void.")
HEALINGS = Described(
    "turnlog_healings_total", "counter", "Streams rewritten because Redis had lost events."
)
RESTORED = Described(
    "turnlog_healed_events_total", "counter", "Events that healings gave back to Redis."
)
ERASURES = Described("turnlog_erasures_total", "counter", "Sessions and turns erased for good.")
ERASURES_PENDING = Described(
    "turnlog_erasures_pending", "gauge", "Erasures not through yet, by what they wait for.", ("in",)
)
SEARCH_EVENTS = Described(
    "turnlog_search_lag_events", "gauge", "Projected events that cannot be searched yet."
)
SEARCH_SECONDS = Described(
    "turnlog_search_lag_seconds", "gauge", "Age of the oldest change that search does not show."
)
REDIS_MEMORY = Described(
    "turnlog_redis_memory_bytes", "gauge", "Memory that Redis uses for everything."
)
ARCHIVE_BYTES = Described(
    "turnlog_archive_bytes", "gauge", "Size of the archive in Postgres, indexes included."
)

METRICS: tuple[Described, ...] = (
    *(UP, SESSIONS, APPENDED, PROJECTED, ENTRIES_BEHIND, EVENTS_BEHIND, SECONDS_BEHIND),
    *(GENERATION, WORKERS, PARKED, SKIPPED, HEALINGS, RESTORED, ERASURES, ERASURES_PENDING),
    *(SEARCH_EVENTS, SEARCH_SECONDS, REDIS_MEMORY, ARCHIVE_BYTES),
)
"""All of them, in the order of the documentation."""

Values = Iterable[tuple[Described, tuple[str, ...], float]]


class LogMetrics(Collector):
    """Asks both servers at every scrape. One that does not answer leaves its metrics out."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = connect_redis(settings.redis_url, timeout_s=_TIMEOUT_S)
        self._connection: Database | None = None
        self._asking = Lock()

    def describe(self) -> Iterable[Metric]:
        """Nothing needs to be asked to know the names."""
        return [metric.family() for metric in METRICS]

    def collect(self) -> Iterable[Metric]:
        with self._asking:
            offsets, of_postgres = self._asked("postgres", self._of_postgres)
            _, of_redis = self._asked("redis", lambda: self._of_redis(offsets or {}))
        families = {metric: metric.family() for metric in METRICS}
        for metric, labels, value in (*of_postgres, *of_redis):
            cast(Any, families[metric]).add_metric(labels, value)
        return [family for family in families.values() if family.samples]

    def close(self) -> None:
        self._drop()
        self._client.close()

    def _asked(
        self, server: str, ask: Callable[[], tuple[dict[int, int], list[Any]]]
    ) -> tuple[dict[int, int] | None, list[Any]]:
        try:
            offsets, values = ask()
        except (psycopg.Error, redis.RedisError, TurnlogError, ValueError) as error:
            logger.warning("metrics: %s does not answer: %s", server, one_line(error))
            if server == "postgres":
                self._drop()
            return None, [(UP, (server,), 0)]
        return offsets, [(UP, (server,), 1), *values]

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _of_postgres(self) -> tuple[dict[int, int], list[Any]]:
        if self._connection is None:
            self._connection = connect_postgres(
                self._settings.postgres_url,
                application_name="turnlog metrics",
                options=f"-c statement_timeout={_TIMEOUT_S * 1000:.0f}",
            )
        lease = {"lease": self._settings.lease_seconds}
        row = self._connection.execute(statement("metrics"), lease).fetchone()
        offsets = {
            partition: (n, pos)
            for partition, n, pos in self._connection.execute(statement("metrics_offsets"))
        }
        values: list[Any] = [(PROJECTED, (), sum(pos for _, pos in offsets.values()))]
        if row is not None:
            names = (
                *(GENERATION, WORKERS, PARKED, SKIPPED, HEALINGS, RESTORED, ERASURES),
                *(SEARCH_EVENTS, SEARCH_SECONDS, ARCHIVE_BYTES),
            )
            values += [(name, (), value or 0) for name, value in zip(names, row, strict=False)]
            values += [
                (ERASURES_PENDING, (place,), value or 0)
                for place, value in zip(("redis", "files"), row[len(names) :], strict=True)
            ]
        return {partition: n for partition, (n, _) in offsets.items()}, values

    def _of_redis(self, offsets: dict[int, int]) -> tuple[dict[int, int], list[Any]]:
        partitions = sorted(offsets)
        log = LogReader(self._client, len(partitions) or 1)
        pipe = self._client.pipeline(transaction=False)
        pipe.info("memory")
        pipe.time()
        for partition in partitions:
            pipe.hlen(heads_key(partition))
        for partition in partitions:
            pipe.execute_command("XREVRANGE", index_key(partition), "+", "-", "COUNT", 1)
        memory, (seconds, micros), *replies = pipe.execute()
        now_ms = seconds * 1000 + micros // 1000
        sessions, newest = replies[: len(partitions)], replies[len(partitions) :]
        ends = {p: _n(reply) for p, reply in zip(partitions, newest, strict=True)}
        behind = {p: max(ends[p] - offsets[p], 0) for p in partitions}
        waiting = [p for p in partitions if behind[p]]
        entries = log.index_from([(p, offsets[p] + 1) for p in waiting], COUNTED_ENTRIES)
        since = self._since(log, {p: e[0] for p, e in zip(waiting, entries, strict=True) if e})
        events = {
            p: sum(entry.events for entry in found) + max(behind[p] - len(found), 0)
            for p, found in zip(waiting, entries, strict=True)
        }
        values: list[Any] = [
            (REDIS_MEMORY, (), memory["used_memory"]),
            (SESSIONS, (), sum(sessions)),
            (APPENDED, (), sum(ends.values())),
        ]
        for p in partitions:
            age_s = max(now_ms - since[p], 0) / 1000 if p in since else 0
            values.append((ENTRIES_BEHIND, (str(p),), behind[p]))
            values.append((EVENTS_BEHIND, (str(p),), events.get(p, 0)))
            values.append((SECONDS_BEHIND, (str(p),), age_s))
        return {}, values

    def _since(self, log: LogReader, entries: dict[int, IndexEntry]) -> dict[int, int]:
        """When the first event of each entry was recorded, in ms since 1970."""
        pipe = self._client.pipeline(transaction=False)
        for partition, entry in entries.items():
            key = entry.key(partition)
            stream = Keys(key.tenant, key.session_id, log.partitions).stream
            pipe.execute_command("XRANGE", stream, f"{entry.first}-0", "+", "COUNT", 1)
        found: list[Any] = pipe.execute() if entries else []
        return {
            partition: int(reply[0][1][5])
            for partition, reply in zip(entries, found, strict=True)
            if reply and len(reply[0][1]) >= 6  # an entry that the append script wrote
        }


def _n(reply: list[Any]) -> int:
    return int(reply[0][0].split(b"-")[0]) if reply else 0


class MetricsServer:
    """Serves the metrics over HTTP, in a thread of its own, until it is closed."""

    def __init__(self, settings: Settings) -> None:
        """Raises `BadSettings` when the port cannot be listened on."""
        self._metrics = LogMetrics(settings)
        registry = CollectorRegistry()
        registry.register(self._metrics)
        ProcessCollector(registry=registry)
        host, port = settings.metrics_host, settings.metrics_port
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            raise BadSettings(
                f"TURNLOG_METRICS_PORT: cannot listen on {host}:{port}: {error.strerror}"
            ) from None
        logger.info("metrics on http://%s:%d/metrics", host, self.port)

    @property
    def port(self) -> int:
        return self._server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._metrics.close()
