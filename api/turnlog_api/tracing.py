"""Traces: a span for each request, within the trace that its traceparent header names.

Only where the extra `otel` is installed, and only when nobody else traces the request already. One
span from the request to the end of the answer: none for each piece of a stream. What is appended
meanwhile carries the span on (turnlog_producers/tracing.py).
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turnlog_api.metrics import route_of

try:
    from opentelemetry import context as _context
    from opentelemetry import trace as _otel
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    _context = _otel = None
    _tracer = _propagator = None
else:
    _tracer = _otel.get_tracer("turnlog")
    _propagator = TraceContextTextMapPropagator()

_CARRIED = {b"traceparent": "traceparent", b"tracestate": "tracestate"}


def traced(app: ASGIApp) -> ASGIApp:
    """The app with traces, or itself where the extra is not installed."""
    return app if _tracer is None else Tracing(app)


class Tracing:
    """Opens a span around each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or _tracer is None
            or _propagator is None
            or _context is None
            or _otel is None
            or _otel.get_current_span().get_span_context().is_valid
        ):
            await self._app(scope, receive, send)
            return
        method: str = scope["method"]
        carrier = {
            _CARRIED[name]: value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _CARRIED
        }
        parent = _propagator.extract(carrier) if carrier else None
        span = _tracer.start_span(method, context=parent, kind=_otel.SpanKind.SERVER)
        if not carrier and not span.is_recording():  # nobody looks at traces in this process
            await self._app(scope, receive, send)
            return
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = _context.attach(_otel.set_span_in_context(span))
        try:
            await self._app(scope, receive, answer)
        finally:
            _context.detach(token)
            if span.is_recording():
                route = route_of(scope)
                span.update_name(f"{method} {route}")
                span.set_attribute("http.request.method", method)
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_status(_otel.StatusCode.ERROR)
            span.end()
