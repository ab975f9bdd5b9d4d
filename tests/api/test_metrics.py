"""Metrics: what they count, that they name nobody, and that the documentation lists all of them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from appending import event, poison, turn
from metrics_docs import api_rows, log_rows
from prometheus_client.parser import text_string_to_metric_families
from served import PARTITIONS, Stage, Users, serving

from turnlog_producers.keys import Keys
from turnlog_projector.metrics import METRICS, LogMetrics, MetricsServer
from turnlog_projector.settings import BadSettings, Settings, load

pytestmark = pytest.mark.integration
HELLO = {"role": "user", "content": "Hello"}
TURNS = "/v1/sessions/s/turns"
DOCS = Path(__file__).parents[2] / "docs" / "operations.md"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Name and labels -> value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


async def scrape(api: httpx.AsyncClient) -> Samples:
    answer = await api.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples(answer.text)


# The API


async def test_requests_are_counted_by_template_method_and_status(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    for _ in range(2):
        await api.post(TURNS, json=HELLO, headers={"Idempotency-Key": "k"})
    await api.post(TURNS, json=[])
    stage.project()
    for name in ("s", "none", "s"):
        await api.get(f"/v1/sessions/{name}")
    for path in ("/secret-path", "/v1/nothing", "/v1/sessions/s/nothing"):
        await api.get(path)
    await api.request("BREW", "/healthz")
    found = await scrape(api)
    one, turns = "/v1/sessions/{session_id}", "/v1/sessions/{session_id}/turns"
    for method, route, status, count in (
        ("POST", turns, "201", 1),
        ("POST", turns, "200", 1),
        ("POST", turns, "422", 1),
        ("GET", one, "200", 2),
        ("GET", one, "404", 1),
        ("GET", "none", "404", 3),
        ("other", "/healthz", "405", 1),
    ):
        labels = {"method": method, "route": route, "status": status}
        assert value(found, "turnlog_http_requests_total", **labels) == count, labels
    timed = {"method": "POST", "route": turns}
    assert value(found, "turnlog_http_request_seconds_count", **timed) == 3
    assert value(found, "turnlog_http_appended_events_total", repeat="false") == 1
    assert value(found, "turnlog_http_appended_events_total", repeat="true") == 1
    assert value(found, "turnlog_http_requests_in_progress") == 1, "the scrape itself"
    assert (value(found, "turnlog_postgres_connections") or 0) >= 1


async def test_waits_for_a_connection_are_counted(stage: Stage) -> None:
    async with serving(stage, postgres_pool=1) as api:
        await asyncio.gather(*(api.get("/v1/sessions") for _ in range(20)))
        found = await scrape(api)
        assert (value(found, "turnlog_postgres_waits_total") or 0) > 0
        assert value(found, "turnlog_postgres_waiting") == 0


async def test_refusals_at_the_gate_are_counted_too(stage: Stage, users: Users) -> None:
    async with serving(stage, auth="jwt", jwt_secret=users.secret) as api:
        await api.get("/v1/sessions/s")
        answer = await api.get("/metrics", headers=users.headers("op", scope="admin"))
        refused = {"method": "GET", "route": "none", "status": "401"}
        assert value(samples(answer.text), "turnlog_http_requests_total", **refused) == 1


async def test_metrics_name_nobody(api: httpx.AsyncClient, stage: Stage) -> None:
    named = {"Turnlog-Tenant": "tenant-x", "Turnlog-User": "user-x"}
    session = {"session_id": "session-x", "title": "title-x"}
    await api.post("/v1/sessions", json=session, headers=named)
    stage.project()
    await api.get("/v1/sessions/session-x?limit=x", headers=named)
    text = (await api.get("/metrics")).text + scrape_log(stage)
    for name in ("tenant-x", "user-x", "session-x", "title-x"):
        assert name not in text


# The log


@pytest.fixture
def port(stage: Stage) -> Iterator[int]:
    server = MetricsServer(settings(stage))
    yield server.port
    server.close()


def settings(stage: Stage) -> Settings:
    urls = {"redis_url": stage.redis_url, "postgres_url": stage.postgres_url}
    return load(Settings, **urls, metrics_port=0)


def scrape_log(stage: Stage) -> str:
    server = MetricsServer(settings(stage))
    try:
        return httpx.get(f"http://127.0.0.1:{server.port}/metrics").text
    finally:
        server.close()


def test_lag_is_told_in_appends_events_and_seconds(stage: Stage, port: int) -> None:
    url = f"http://127.0.0.1:{port}/metrics"
    stage.append("s", [event("session.started"), turn("a")])
    stage.project()
    found = samples(httpx.get(url).text)
    partition = str(Keys("default", "s", PARTITIONS).partition)
    for name in ("turnlog_lag_appends", "turnlog_lag_events", "turnlog_lag_seconds"):
        values = [value(found, name, partition=str(p)) for p in range(PARTITIONS)]
        assert values == [0] * PARTITIONS
    assert value(found, "turnlog_projected_events_total") == 2
    assert value(found, "turnlog_appends_total") == 2
    assert value(found, "turnlog_sessions") == 1
    stage.writer().append("s", turn("b"), turn("c"))
    stage.append("s", [turn("d")])
    found = samples(httpx.get(url).text)
    assert value(found, "turnlog_lag_appends", partition=partition) == 2
    assert value(found, "turnlog_lag_events", partition=partition) == 3
    first = value(found, "turnlog_lag_seconds", partition=partition)
    second = value(samples(httpx.get(url).text), "turnlog_lag_seconds", partition=partition)
    assert first is not None
    assert second is not None
    assert 0 <= first <= second


def test_parked_sessions_are_counted(stage: Stage, port: int) -> None:
    stage.append("s", [event("session.started"), poison()])
    stage.append("t", [event("session.started")])
    stage.project()
    found = samples(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
    assert value(found, "turnlog_parked_sessions") == 1
    for server in ("redis", "postgres"):
        assert value(found, "turnlog_up", server=server) == 1


def test_a_server_that_is_down_is_told_so(stage: Stage) -> None:
    for broken, other in (("redis", "postgres"), ("postgres", "redis")):
        scheme = "redis" if broken == "redis" else "postgresql"
        given = {f"{broken}_url": f"{scheme}://127.0.0.1:1/0"}
        metrics = LogMetrics(settings(stage).model_copy(update=given))
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in metrics.collect()
            for sample in family.samples
        }
        assert found["turnlog_up", broken] == 0
        assert found["turnlog_up", other] == 1
        assert ("turnlog_sessions",) in found or broken == "redis"
        metrics.close()


def test_a_connection_that_died_is_replaced(stage: Stage) -> None:
    metrics = LogMetrics(settings(stage))
    list(metrics.collect())
    with psycopg.connect(stage.postgres_url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'turnlog metrics' AND datname = current_database()"
        )
    ups = [
        [s.value for f in metrics.collect() if f.name == "turnlog_up" for s in f.samples]
        for _ in range(2)
    ]
    assert ups[-1] == [1, 1]
    metrics.close()


def test_a_taken_port_stops_the_start(stage: Stage, port: int) -> None:
    taken = settings(stage).model_copy(update={"metrics_port": port})
    with pytest.raises(BadSettings) as refused:
        MetricsServer(taken)
    assert str(refused.value).startswith("TURNLOG_METRICS_PORT: ")


def test_every_metric_of_the_log_has_a_value(stage: Stage, port: int) -> None:
    stage.append("s", [event("session.started")])
    stage.project()
    told = {name for name, _ in samples(httpx.get(f"http://127.0.0.1:{port}/metrics").text)}
    assert {metric.name for metric in METRICS} <= told


def test_the_documentation_lists_every_metric() -> None:
    documented = [line for line in DOCS.read_text().splitlines() if line.startswith("| turnlog_")]
    assert documented == api_rows() + log_rows()
