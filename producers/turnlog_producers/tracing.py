"""Traces: an event carries the place of its producer in a trace (W3C traceparent).

Only where the extra `otel` is installed and the caller has a span open; else nothing is looked at.
"""

from typing import Any

try:
    from opentelemetry import trace as _otel
except ImportError:
    _otel = None


def current_trace() -> dict[str, Any] | None:
    """What an event appended now says of its trace: `{"traceparent": …}`, and `tracestate` if there
    is one. None outside of any span."""
    if _otel is None:
        return None
    context = _otel.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    found = {
        "traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}"
        f"-{context.trace_flags:02x}"
    }
    if context.trace_state:
        found["tracestate"] = context.trace_state.to_header()
    return found
