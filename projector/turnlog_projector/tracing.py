"""Traces: a span for each traced event, from when the log took it until its rows were there.

Only where the extra `otel` is installed. An event is traced when its `trace` holds a traceparent;
the spans are children of the producer's, so that one turn can be followed from there to its row.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from turnlog_projector.log import StoredEvent

if TYPE_CHECKING:
    from turnlog_projector.batch import Place

try:
    from opentelemetry import trace as _otel
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    _otel = _tracer = _propagator = None
else:
    _tracer = _otel.get_tracer("turnlog")
    _propagator = TraceContextTextMapPropagator()

_MARK = b'"traceparent"'
_MAX_SPANS = 1000
"""Of one batch: catching up is not traced event by event."""


def note_projected(archived: "Iterable[Place]") -> None:
    """Make the spans of events whose transaction has just ended."""
    if _tracer is None:
        return
    traced = 0
    for key, _, event, _ in archived:
        if _MARK in event.raw and traced < _MAX_SPANS:
            traced += _note(key.partition, event)


def _note(partition: int, event: StoredEvent) -> bool:
    carrier = _carrier(event.raw)
    if carrier is None or _tracer is None or _otel is None or _propagator is None:
        return False
    span = _tracer.start_span(
        "turnlog project",
        context=_propagator.extract(carrier),
        kind=_otel.SpanKind.CONSUMER,
        attributes={"turnlog.partition": partition, "turnlog.seq": event.seq},
        start_time=event.recorded_at * 1_000_000,
    )
    span.end(max(time.time_ns(), event.recorded_at * 1_000_000))
    return True


def _carrier(raw: bytes) -> dict[str, str] | None:
    """The `trace` of an event, if it is one that leads somewhere."""
    try:
        trace: Any = from_json(raw).get("trace")
        carrier = {name: trace[name] for name in ("traceparent", "tracestate") if name in trace}
    except (AttributeError, TypeError, ValueError):
        return None
    texts = all(isinstance(value, str) for value in carrier.values())
    return carrier if texts and "traceparent" in carrier else None
