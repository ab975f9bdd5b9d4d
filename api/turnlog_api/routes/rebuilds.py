"""Rebuilds: replays that a projector does, asked for and watched over HTTP."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api import asof, cursors
from turnlog_api.auth import ADMIN, Caller
from turnlog_api.bodies import read_body
from turnlog_api.docs import answers, asks
from turnlog_api.models import Moment
from turnlog_api.params import (
    CursorText,
    Limit,
    NoParams,
    Params,
    idempotency_key,
    read_params,
)
from turnlog_api.problems import Problem
from turnlog_api.rebuilding import Rebuilds
from turnlog_api.replies import JSON, page
from turnlog_api.service import caller_of, service_of
from turnlog_projector.rebuild_jobs import RebuildOptions
from turnlog_schemas.events import Id

router = APIRouter(tags=["operation"])

_MOST_DIGITS = 18


class RebuildIn(BaseModel):
    """What to replay; an empty object means everything."""

    model_config = ConfigDict(extra="forbid")

    session_id: Annotated[
        Id | None, Field(description="Only this session, in place in the live generation.")
    ] = None
    until: Annotated[
        str | None,
        Field(
            max_length=64,
            description="Up to a time, or up to a seq of the session, into a generation to look at "
            "with `turnlog show --generation`; it is never made live by itself.",
        ),
    ] = None
    name: Annotated[
        str | None,
        Field(min_length=1, max_length=128, description="What to call the generation of `until`."),
    ] = None


class Rebuild(BaseModel):
    """A rebuild as it stands. `done` of `total` events are gone through in this phase."""

    rebuild_id: int
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    session_id: str | None
    until: str | None
    name: str | None
    requested_by: str
    requested_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    attempts: Annotated[int, Field(description="How often it was begun.")]
    cancel: Annotated[bool, Field(description="Whether it is to be, or was, broken off.")]
    phase: str | None
    done: int
    total: int
    generation: Annotated[int | None, Field(description="The one that was made, or changed.")]
    former: Annotated[int | None, Field(description="The one that was live before, kept.")]
    digest: Annotated[
        str | None, Field(description="Of what was verified: that of `turnlog verify`.")
    ]
    error: str | None


class RebuildPage(BaseModel):
    """Rebuilds, the newest first."""

    items: list[Rebuild]
    next_cursor: str | None
    has_more: bool


class RebuildsParams(Params):
    limit: Limit = 100
    cursor: CursorText = None


class RebuildsCursor(cursors.Cursor):
    """Goes on behind the rebuild with this number."""

    before: int = Field(ge=1)


_EXAMPLE: dict[str, Any] = {
    "rebuild_id": 7,
    "state": "running",
    "session_id": None,
    "until": None,
    "name": None,
    "requested_by": "ops",
    "requested_at": "2026-01-31T12:00:00.000000Z",
    "started_at": "2026-01-31T12:00:01.250000Z",
    "ended_at": None,
    "attempts": 1,
    "cancel": False,
    "phase": "events",
    "done": 120000,
    "total": 1000000,
    "generation": None,
    "former": None,
    "digest": None,
    "error": None,
}


@router.post(
    "/v1/rebuilds",
    summary="Ask for a rebuild",
    status_code=202,
    response_class=Response,
    responses=answers(
        202,
        Rebuild,
        {**_EXAMPLE, "state": "waiting", "started_at": None, "attempts": 0, "phase": None},
        *("key-reused", "rebuild-under-way", "too-large"),
        *("unsupported-media-type", "postgres-unavailable"),
        also=(200,),
    ),
    openapi_extra=asks(
        query=NoParams, body=RebuildIn, body_example={}, writes=True, of_a_session=False
    ),
)
async def ask_for_rebuild(request: Request) -> Response:
    """Have a projector replay the log: rebuild every read model from the archive, prove it, make it
    live. Needs the scope `admin`. One at a time. 200: an earlier request with the same
    Idempotency-Key has asked for it."""
    caller, rebuilds = _operator(request)
    read_params(request, NoParams)
    body = await read_body(request, RebuildIn)
    options = _options(caller, body)
    number, is_new = await rebuilds.ask(caller, options, idempotency_key(request))
    item = await rebuilds.one(caller, number)
    headers = {"Location": f"/v1/rebuilds/{number}"}
    return Response(item, 202 if is_new else 200, headers, JSON)


@router.get(
    "/v1/rebuilds",
    summary="Rebuilds, the newest first",
    response_class=Response,
    responses=answers(
        200,
        RebuildPage,
        {"items": [_EXAMPLE], "next_cursor": None, "has_more": False},
        *("bad-cursor", "postgres-unavailable"),
    ),
    openapi_extra=asks(query=RebuildsParams),
)
async def list_rebuilds(request: Request) -> Response:
    """What was asked for, and what became of it. Needs the scope `admin`."""
    caller, rebuilds = _operator(request)
    params = read_params(request, RebuildsParams)
    before = None
    if params.cursor is not None:
        before = cursors.read(RebuildsCursor, params.cursor).before
    items, last = await rebuilds.page(caller, before, params.limit)
    following = None if last is None else RebuildsCursor(before=last).text()
    return Response(page(items, following), media_type=JSON)


@router.get(
    "/v1/rebuilds/{rebuild_id}",
    summary="One rebuild, with its progress",
    response_class=Response,
    responses=answers(200, Rebuild, _EXAMPLE, "not-found", "postgres-unavailable"),
    openapi_extra=asks(path=("rebuild_id",), query=NoParams),
)
async def get_rebuild(request: Request) -> Response:
    """How far a rebuild is; `failed` says why in `error`. Needs the scope `admin`."""
    caller, rebuilds = _operator(request)
    read_params(request, NoParams)
    return Response(await rebuilds.one(caller, _number(request)), media_type=JSON)


@router.delete(
    "/v1/rebuilds/{rebuild_id}",
    summary="Cancel a rebuild",
    status_code=202,
    response_class=Response,
    responses=answers(
        202, Rebuild, {**_EXAMPLE, "cancel": True}, "not-found", "postgres-unavailable"
    ),
    openapi_extra=asks(path=("rebuild_id",), query=NoParams),
)
async def cancel_rebuild(request: Request) -> Response:
    """Break a rebuild off; what it has made so far goes. One that has ended stays as it is: see
    `state`. Needs the scope `admin`."""
    caller, rebuilds = _operator(request)
    read_params(request, NoParams)
    number = _number(request)
    await rebuilds.cancel(caller, number)
    return Response(await rebuilds.one(caller, number), 202, media_type=JSON)


def _operator(request: Request) -> tuple[Caller, Rebuilds]:
    caller = caller_of(request)
    caller.need(ADMIN)
    return caller, service_of(request).rebuilds


def _number(request: Request) -> int:
    text: str = request.path_params["rebuild_id"]
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise Problem("not-found", "there is no such rebuild")
    return int(text)


def _options(caller: Caller, body: dict[str, Any]) -> RebuildOptions:
    session_id, until, name = (body.get(field) for field in ("session_id", "until", "name"))
    options = RebuildOptions(
        tenant=caller.tenant if session_id is not None else None,
        session_id=session_id,
        name=name,
    )
    if until is None:
        if name is not None:
            raise Problem("invalid", "name: goes with `until`")
        return options
    try:
        point = asof.parse(asof.normal(until))
    except ValueError as error:
        raise Problem("invalid", f"until: {error}") from None
    if point.seq is not None and session_id is None:
        raise Problem("invalid", "until: a seq goes with `session_id`; give a time for all")
    return options._replace(until_seq=point.seq, until_recorded_at=point.moment)
