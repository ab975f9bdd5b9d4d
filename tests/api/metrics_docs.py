"""What the registries of metrics hold, as rows of the table in docs/operations.md."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from turnlog_api.metrics import ApiMetrics
from turnlog_projector.metrics import METRICS


def api_rows() -> list[str]:
    """The rows of the API's metrics."""
    metrics = ApiMetrics()
    metrics.watch_pool(dict)
    labels = {
        "turnlog_http_requests": ("method", "route", "status"),
        "turnlog_http_request_seconds": ("method", "route"),
        "turnlog_http_appended_events": ("repeat",),
    }
    return [
        row(full_name(metric), metric.type, labels.get(metric.name, ()), metric.documentation)
        for metric in metrics.registry.collect()
        if metric.name.startswith("turnlog_")
    ]


def log_rows() -> list[str]:
    """The rows of the log's metrics, which projectors tell."""
    return [row(metric.name, metric.kind, metric.labels, metric.help) for metric in METRICS]


def row(name: str, kind: str, labels: Iterable[str], text: str) -> str:
    return f"| {name} | {kind} | {', '.join(labels)} | {text} |"


def full_name(metric: Metric) -> str:
    """The name as Prometheus shows it."""
    return f"{metric.name}_total" if metric.type == "counter" else metric.name
