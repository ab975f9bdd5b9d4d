"""Turns of a session: pages of them, and a new one."""

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api import cursors, examples, queries
from turnlog_api.asof import AsOf, parse
from turnlog_api.docs import answers, asks
from turnlog_api.models import TurnIn, TurnPage, Written
from turnlog_api.params import TurnsParams, WriteParams, given, path_id, read_params
from turnlog_api.problems import Problem
from turnlog_api.replies import on_session, page, past
from turnlog_api.service import caller_of, service_of
from turnlog_api.settled import settled
from turnlog_schemas.events import Id
from turnlog_schemas.rows import LAST_SEQ

router = APIRouter(tags=["turns"])

_FILTERS = ("after", "before", "order", "branch", "include", "as_of")


class TurnsCursor(cursors.Cursor):
    """Goes on behind `seq`, in the order of the list."""

    session_id: Id
    seq: int = Field(ge=0, le=LAST_SEQ)
    after: int | None = Field(None, ge=0, le=LAST_SEQ)
    before: int | None = Field(None, ge=0, le=LAST_SEQ)
    order: str = Field("asc", pattern="^(asc|desc)$")
    branch: Id | None = None
    include: str | None = Field(None, pattern="^retracted$")
    as_of: str | None = None
    """What the first page was asked for."""
    at: int | None = Field(None, ge=1, le=LAST_SEQ)
    """The seq that that was: all pages show the same moment."""


@router.get(
    "/v1/sessions/{session_id}/turns",
    summary="Turns of a session, by seq",
    response_class=Response,
    responses=answers(
        200,
        TurnPage,
        examples.TURN_PAGE,
        *("bad-cursor", "not-found", "behind-head", "parked"),
        *("postgres-unavailable", "redis-unavailable", "log-damaged", "not-projected"),
        on_session=True,
        as_of=True,
    ),
    openapi_extra=asks(path=("session_id",), query=TurnsParams),
)
async def list_turns(request: Request) -> Response:
    """A page of the visible turns of the shown (or a named) branch, from the first one on, or with
    `order=desc` from the newest one back. With `as_of` everything is as it was then, and all pages
    show the same moment."""
    service, caller = service_of(request), caller_of(request)
    session_id = path_id(request, "session_id")
    params = read_params(request, TurnsParams)
    cursor = _cursor(params, session_id)
    window = _window(params, cursor)
    as_of = _as_of(params, cursor)
    if as_of is not None:
        seen = await service.time_travel.turns(caller, session_id, params, as_of, window)
        body = _page(seen.answer, params, cursor, session_id, window, at=seen.at)
        return past(on_session(body, seq=seen.log.projected_seq, head=seen.log.head), seen.at)
    scope = caller.scope
    found, head = await settled(
        service,
        caller,
        session_id,
        params,
        lambda: service.reader.turns(scope, session_id, window),
        lambda: service.time_travel.strong_turns(caller, session_id, window),
    )
    body = _page(found, params, cursor, session_id, window)
    return on_session(body, seq=found.seq, head=head)


def _page(
    found: queries.TurnsPage,
    params: TurnsParams,
    cursor: TurnsCursor | None,
    session_id: str,
    window: queries.Window,
    *,
    at: int | None = None,
) -> bytes:
    if not found.branch_found:
        raise Problem("not-found", "the session has no such branch")
    following = None
    if found.last_seq is not None:
        place = cursor or params
        following = TurnsCursor(
            session_id=session_id,
            seq=found.last_seq,
            after=place.after,
            before=place.before,
            order="desc" if window.descending else "asc",
            branch=window.branch,
            include="retracted" if window.retracted else None,
            as_of=place.as_of,
            at=at,
        ).text()
    return page(found.items, following, total_count=found.total_count)


def _cursor(params: TurnsParams, session_id: str) -> TurnsCursor | None:
    if params.cursor is None:
        return None
    cursor = cursors.read(TurnsCursor, params.cursor)
    if cursor.session_id != session_id:
        raise Problem("bad-cursor", "cursor: belongs to another session")
    cursors.check_same(given(params, *_FILTERS), cursor.model_dump())
    return cursor


def _as_of(params: TurnsParams, cursor: TurnsCursor | None) -> AsOf | None:
    if cursor is not None:
        return None if cursor.at is None else AsOf(cursor.at, None)
    return None if params.as_of is None else parse(params.as_of)


def _window(params: TurnsParams, cursor: TurnsCursor | None) -> queries.Window:
    """Which turns the page is taken from: by the parameters, or behind the cursor."""
    place = cursor or params
    after, before = place.after or 0, place.before
    if cursor is not None:
        if cursor.order == "desc":
            before = cursor.seq if before is None else min(before, cursor.seq)
        else:
            after = max(after, cursor.seq)
    return queries.Window(
        after=after,
        before=LAST_SEQ if before is None else before,
        descending=place.order == "desc",
        limit=params.limit,
        retracted=place.include is not None,
        branch=place.branch,
    )


@router.post(
    "/v1/sessions/{session_id}/turns",
    summary="Append a turn",
    status_code=201,
    response_class=Response,
    responses=answers(
        201,
        Written,
        examples.WRITTEN,
        *("not-found", "precondition-failed", "too-large"),
        *("unsupported-media-type", "key-reused", "redis-unavailable", "log-damaged"),
        on_session=True,
        also=(200, 202),
    ),
    openapi_extra=asks(
        path=("session_id",),
        query=WriteParams,
        body=TurnIn,
        body_example=examples.TURN_IN,
        writes=True,
    ),
)
async def append_turn(request: Request) -> Response:
    """Append a turn. A session that does not exist begins with it. 200: an earlier request with the
    same Idempotency-Key had appended it."""
    service, caller = service_of(request), caller_of(request)
    return await service.writer.append_turn(caller, request, path_id(request, "session_id"))
