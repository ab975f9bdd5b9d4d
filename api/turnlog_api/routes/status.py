"""What operators and orchestrators ask."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api.auth import ADMIN
from turnlog_api.docs import answers, asks, refusals
from turnlog_api.metrics import CONTENT_TYPE
from turnlog_api.models import Health, Readiness
from turnlog_api.params import NoParams, read_params
from turnlog_api.ready import check_ready
from turnlog_api.replies import json
from turnlog_api.service import caller_of, service_of
from turnlog_api.status import read_status

router = APIRouter(tags=["operation"])


class Status(BaseModel):
    """See the example."""

    log_id: str | None
    same_log: bool | None
    generation: int | None
    lag: dict[str, Any]
    search: dict[str, float] | None
    totals: dict[str, int | None]
    healings: dict[str, Any] | None
    stopped: dict[str, Any] | None
    audited_since: str | None
    redis: dict[str, Any]
    postgres: dict[str, Any]
    partitions: list[dict[str, Any]]
    advice: list[str]


_EXAMPLE: dict[str, Any] = {
    "log_id": "1f0c1f4e-5a52-4b7e-9d2c-0d6a0a5f9a10",
    "same_log": True,
    "generation": 1,
    "lag": {"entries": 1, "events": 2, "exact": True},
    "search": {
        "events_behind": 3,
        "sessions_behind": 0,
        "seconds_behind": 0.21,
        "bytes": 62914560,
    },
    "totals": {
        "sessions": 1201,
        "events_archived": 90210,
        "turns_estimated": 88790,
        "parked": 0,
        "skipped": 0,
        "quarantined": 0,
        "healings": 1,
    },
    "healings": {
        "streams": 1,
        "entries": 0,
        "indexes": 0,
        "events_restored": 3,
        "events_moved": 2,
        "events_lost": 0,
        "events_lost_lately": 0,
        "newest": {
            "at": "2026-01-31T12:00:00Z",
            "kind": "stream",
            "partition": 17,
            "reason": "Redis is at seq 4, the archive at 7",
            "events_restored": 3,
            "events_moved": 2,
            "events_lost": 0,
        },
    },
    "stopped": None,
    "audited_since": "2026-01-31T11:56:12Z",
    "redis": {
        "error": None,
        "version": "9.1.0",
        "used_memory_bytes": 73400320,
        "max_memory_bytes": 0,
        "eviction": "noeviction",
    },
    "postgres": {
        "error": None,
        "version": "18.1",
        "database_bytes": 301989888,
        "archive_bytes": 104857600,
        "read_model_bytes": 125829120,
    },
    "partitions": [
        {
            "partition": 0,
            "index_end": 1410,
            "offset": 1409,
            "entries_behind": 1,
            "events_behind": 2,
            "exact": True,
        }
    ],
    "advice": [],
}


@router.get("/healthz", summary="The process answers", responses={200: {"model": Health}})
async def healthz() -> Response:
    """200 as long as the process serves; nothing else is checked."""
    return json({"status": "ok"})


@router.get(
    "/readyz",
    summary="Both servers answer and fit",
    responses={200: {"model": Readiness}, 503: {"model": Readiness}},
)
async def readyz(request: Request) -> Response:
    """200 when Redis and Postgres answer, belong to one log, and the schema is this release's; else
    503 and what is wrong."""
    service = service_of(request)
    checks = await check_ready(service.log, service.reader)
    ready = not any(checks.values())
    return json({"ready": ready, "checks": checks}, 200 if ready else 503)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **refusals()},
)
async def metrics(request: Request) -> Response:
    """Requests, their times, appends and connections of this process; scope `admin`. How far the
    projection is, a projector tells on a port of its own."""
    caller_of(request).need(ADMIN)
    return Response(service_of(request).metrics.text(), media_type=CONTENT_TYPE)


@router.get(
    "/v1/status",
    summary="Lag, totals, sizes",
    response_class=Response,
    responses=answers(200, Status, _EXAMPLE),
    openapi_extra=asks(query=NoParams),
)
async def status(request: Request) -> Response:
    """How far the read models are behind the log, by partition, how much there is, what was healed,
    and what an operator has to do. Needs the scope `admin`. A server that is down is reported with
    its error, not as a failure."""
    caller_of(request).need(ADMIN)
    read_params(request, NoParams)
    service = service_of(request)
    return json(await read_status(service.log, service.reader))
