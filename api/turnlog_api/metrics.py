"""Metrics of one API process, for Prometheus. Tenants, users and sessions are never labels."""

from collections.abc import Callable, Iterable
from typing import Any, cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"})

PoolStats = Callable[[], dict[str, int]]


class ApiMetrics:
    """All that an API process counts, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "turnlog_http_requests_total",
            "Requests answered. route is the template; unknown addresses share one.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "turnlog_http_request_seconds",
            "Time until the answer begins; a live tail's answer begins at once.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_progress = Gauge(
            "turnlog_http_requests_in_progress",
            "Requests whose answer has not ended, live tails included.",
            registry=self.registry,
        )
        self.appended = Counter(
            "turnlog_http_appended_events_total",
            "Events that requests have appended; repeat: the log had the event already.",
            ("repeat",),
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self._counters: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def watch_pool(self, stats: PoolStats) -> None:
        """Tell of the connections to Postgres, too."""
        self.registry.register(_Pool(stats))

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        method = scope["method"]
        key = (method if method in _METHODS else "other", route_of(scope), status)
        found = self._counters.get(key)
        if found is None:
            found = self.requests.labels(*key), self.seconds.labels(*key[:2])
            self._counters[key] = found
        found[0].inc()
        found[1].observe(seconds)

    def count_append(self, *, repeat: bool) -> None:
        self.appended.labels("true" if repeat else "false").inc()

    def text(self) -> bytes:
        """What Prometheus reads."""
        return generate_latest(self.registry)


def route_of(scope: Scope) -> str:
    """The template of the address, such as /v1/sessions/{session_id}; 'none' for an address that
    there is not: paths would let anybody make up label values."""
    return cast(str, getattr(scope.get("route"), "path", "none"))


class _Pool(Collector):
    """What the pool of connections says of itself."""

    _GAUGES = (
        ("turnlog_postgres_connections", "Connections to Postgres.", "pool_size"),
        ("turnlog_postgres_connections_idle", "Those that nobody uses.", "pool_available"),
        ("turnlog_postgres_waiting", "Requests that wait for one.", "requests_waiting"),
    )
    _COUNTERS = (
        ("turnlog_postgres_waits_total", "Times one was waited for.", "requests_queued", 1),
        ("turnlog_postgres_wait_seconds_total", "How long that took.", "requests_wait_ms", 0.001),
        ("turnlog_postgres_refused_total", "Times none could be had.", "requests_errors", 1),
        ("turnlog_postgres_lost_total", "Connections that broke.", "connections_lost", 1),
    )

    def __init__(self, stats: PoolStats) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        found = self._stats()
        for name, help_, key in self._GAUGES:
            yield GaugeMetricFamily(name, help_, found.get(key, 0))
        for name, help_, key, unit in self._COUNTERS:
            yield CounterMetricFamily(name, help_, found.get(key, 0) * unit)
