"""Traces: one turn is followed from the request, or from its producer, to the rows."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_core import from_json
from served import PARTITIONS, Stage, serving

from turnlog_api import tracing as api_tracing
from turnlog_producers import TurnLog
from turnlog_producers.keys import Keys
from turnlog_projector import tracing as projector_tracing

pytestmark = pytest.mark.integration
HELLO = {"role": "user", "content": "Hello"}
TURNS = "/v1/sessions/s/turns"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traces:
    """Spans that have ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traces]:
    """An SDK as its user would set it up, for this test only."""
    made = Traces()
    for module in (api_tracing, projector_tracing):
        monkeypatch.setattr(module, "_tracer", made.tracer)
    yield made
    made.provider.shutdown()


def ids(span: ReadableSpan) -> tuple[str, str]:
    """Of its trace and of itself."""
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


def stored_trace(stage: Stage, seq: int = 1) -> dict[str, str] | None:
    stream = Keys("default", "s", PARTITIONS).stream
    entries: Any = stage.client.xrange(stream, f"{seq}-0", f"{seq}-0")
    return from_json(entries[0][1][b"e"]).get("trace")


async def test_a_turn_is_followed_from_the_request_to_its_row(traces: Traces, stage: Stage) -> None:
    async with serving(stage) as api:
        assert (await api.post(TURNS, json=HELLO, headers={"traceparent": PARENT})).is_success
        await asyncio.to_thread(stage.project)
    spans = traces.spans()
    request = spans["POST /v1/sessions/{session_id}/turns"]
    projected = spans["turnlog project"]
    assert ids(request)[0] == ids(projected)[0] == PARENT.split("-")[1]
    assert parent_of(request) == PARENT.split("-")[2]
    assert parent_of(projected) == ids(request)[1]
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 201
    assert projected.start_time is not None
    assert projected.end_time is not None
    assert projected.end_time >= projected.start_time


def test_a_producers_span_goes_into_the_event(traces: Traces, stage: Stage) -> None:
    with TurnLog.connect(stage.redis_url) as log:
        with traces.tracer.start_as_current_span("chat") as span:
            log.session("s").append_turn("user", "Hello")
            own = {"my": "ids"}
            log.session("s").append_turn("user", "Hello", trace=own)
        log.session("s").append_turn("user", "Hello")
    trace_id, span_id = ids(span)  # pyright: ignore[reportArgumentType]
    flags = span.get_span_context().trace_flags
    [first] = [
        found for seq in (1, 2, 3, 4) if (found := trace_at(stage, seq)) and "traceparent" in found
    ] or [None]
    assert first == {"traceparent": f"00-{trace_id}-{span_id}-{flags:02x}"}
    stage.project()
    assert parent_of(traces.spans()["turnlog project"]) == span_id


def trace_at(stage: Stage, seq: int) -> dict[str, str] | None:
    try:
        return stored_trace(stage, seq)
    except IndexError:
        return None


async def test_a_repeat_in_another_trace_is_a_repeat(traces: Traces, stage: Stage) -> None:
    async with serving(stage) as api:
        key = {"Idempotency-Key": "k"}
        statuses = [(await api.post(TURNS, json=HELLO, headers=key)).status_code for _ in range(2)]
    assert statuses == [201, 200]


@pytest.mark.parametrize(
    "value",
    [
        {"traceparent": "no trace"},
        {"traceparent": 7},
        {"traceparent": PARENT, "tracestate": []},
        {},
    ],
)
async def test_a_trace_that_leads_nowhere_disturbs_nothing(
    traces: Traces, stage: Stage, value: dict[str, object]
) -> None:
    async with serving(stage) as api:
        body = {**HELLO, "trace": value, "metadata": {"traceparent": PARENT}}
        assert (await api.post(TURNS, json=body)).status_code == 201
        await asyncio.to_thread(stage.project)
        assert (await api.get(TURNS)).json()["total_count"] == 1


async def test_requests_that_are_traced_already_get_no_second_span(
    traces: Traces, stage: Stage
) -> None:
    async with serving(stage) as api:
        with traces.tracer.start_as_current_span("outer"):
            await api.get("/healthz")
    assert set(traces.spans()) == {"outer"}


async def test_a_failed_request_is_a_failed_span(traces: Traces, stage: Stage) -> None:
    async with serving(stage, redis_url="redis://127.0.0.1:1/0") as api:
        assert (await api.post(TURNS, json=HELLO)).status_code == 503
    span = traces.spans()["POST /v1/sessions/{session_id}/turns"]
    assert span.status.status_code is trace.StatusCode.ERROR


def test_without_the_extra_nothing_is_traced() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from turnlog_producers.tracing import current_trace\n"
        "from turnlog_projector.tracing import note_projected\n"
        "from turnlog_api.tracing import traced\n"
        "app = object()\n"
        "assert current_trace() is None and traced(app) is app and note_projected([]) is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
