"""Statistics by day."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api.days import MAX_DAYS, BadRange, days
from turnlog_api.docs import asks
from turnlog_api.logreads import LogReads
from turnlog_api.params import Params, read_params
from turnlog_api.problems import Problem
from turnlog_api.reading import both
from turnlog_api.replies import JSON
from turnlog_api.service import caller_of, service_of
from turnlog_api.stats import StatsFilters, stats
from turnlog_api.statsdocs import stats_answers
from turnlog_producers.errors import Misconfigured, Unavailable
from turnlog_schemas.events import Id, TextId

router = APIRouter(tags=["stats"])

_DAY_OR_TIME = "a day of the time zone (2026-01-31: its beginning) or a time (RFC 3339)"


class StatsParams(Params):
    since: Annotated[
        str | None,
        Field(
            max_length=64,
            description=f"From {_DAY_OR_TIME} on; else the last 30 days. At most {MAX_DAYS} days.",
        ),
    ] = None
    until: Annotated[
        str | None,
        Field(max_length=64, description=f"Before {_DAY_OR_TIME}; else to the end of today."),
    ] = None
    tz: Annotated[
        str,
        Field(max_length=64, description="Whose days: the IANA name of a time zone."),
    ] = "UTC"
    user_id: Annotated[TextId | None, Field(description="In sessions of this user.")] = None
    project: Annotated[TextId | None, Field(description="In sessions of this project.")] = None
    session_id: Annotated[Id | None, Field(description="In this session only.")] = None


@router.get(
    "/v1/stats",
    summary="Statistics by day",
    response_class=Response,
    responses=stats_answers(),
    openapi_extra=asks(query=StatsParams),
)
async def show_stats(request: Request) -> Response:
    """Turns, active sessions and users, tokens, response times and ratings of the sessions that the
    caller may read and that are not deleted: day by day, and of the whole range. Retracted and
    cleared turns count in tokens alone: they were spent."""
    service, caller = service_of(request), caller_of(request)
    params = read_params(request, StatsParams)
    try:
        asked = days(params.since, params.until, params.tz, now=datetime.now(UTC))
    except BadRange as bad:
        fault = {"parameter": bad.parameter, "detail": bad.detail}
        raise Problem("invalid", f"{bad.parameter}: {bad.detail}", errors=[fault]) from None
    filters = StatsFilters(params.user_id, params.project, params.session_id)
    ends, found = await both(
        _index_ends(service.log), service.reader.fetch(stats(caller.scope, asked, filters))
    )
    headers: dict[str, str] = {}
    if ends is not None:
        behind = (max(end - found.offsets.get(p, end), 0) for p, end in enumerate(ends))
        headers["Turnlog-Behind"] = str(sum(behind))
    return Response(found.body, 200, headers, JSON)


async def _index_ends(log: LogReads) -> list[int] | None:
    try:
        return await log.index_ends()
    except (Unavailable, Misconfigured):
        return None
