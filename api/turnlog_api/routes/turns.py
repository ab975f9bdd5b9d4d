"""Turns of a session: pages of them, and a new one."""

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api import cursors, examples, queries
from turnlog_api.docs import answers, asks
from turnlog_api.models import TurnIn, TurnPage, Written
from turnlog_api.params import TurnsParams, WriteParams, given, path_id, read_params
from turnlog_api.problems import Problem
from turnlog_api.replies import on_session, page
from turnlog_api.service import caller_of, service_of
from turnlog_api.settled import settled
from turnlog_schemas.events import Id
from turnlog_schemas.rows import LAST_SEQ

router = APIRouter(tags=["turns"])

_FILTERS = ("after", "before", "order", "branch", "include")


class TurnsCursor(cursors.Cursor):
    """Goes on behind `seq`, in the order of the list."""

    session_id: Id
    seq: int = Field(ge=0, le=LAST_SEQ)
    after: int | None = Field(None, ge=0, le=LAST_SEQ)
    before: int | None = Field(None, ge=0, le=LAST_SEQ)
    order: str = Field("asc", pattern="^(asc|desc)$")
    branch: Id | None = None
    include: str | None = Field(None, pattern="^retracted$")


@router.get(
    "/v1/sessions/{session_id}/turns",
    summary="Turns of a session, by seq",
    response_class=Response,
    responses=answers(
        200,
        TurnPage,
        examples.TURN_PAGE,
        *("bad-cursor", "not-found", "behind-head", "parked"),
        *("postgres-unavailable", "log-damaged", "not-projected"),
        on_session=True,
    ),
    openapi_extra=asks(path=("session_id",), query=TurnsParams),
)
async def list_turns(request: Request) -> Response:
    """A page of the visible turns of the shown (or a named) branch, from the first one on, or with
    `order=desc` from the newest one back."""
    service, caller = service_of(request), caller_of(request)
    session_id = path_id(request, "session_id")
    params = read_params(request, TurnsParams)
    window = _window(params, session_id)
    scope = caller.scope
    found, head = await settled(
        service,
        caller,
        session_id,
        params,
        lambda: service.reader.turns(scope, session_id, window),
        lambda: service.strong.turns(scope, session_id, window),
    )
    if not found.branch_found:
        raise Problem("not-found", "the session has no such branch")
    following = None
    if found.last_seq is not None:
        following = _following(params, session_id, window, found.last_seq)
    body = page(found.items, following, total_count=found.total_count)
    return on_session(body, seq=found.seq, head=head)


def _window(params: TurnsParams, session_id: str) -> queries.Window:
    """Which turns the page is taken from: by the parameters, or behind the cursor."""
    place: TurnsParams | TurnsCursor = params
    after, before = params.after or 0, params.before
    if params.cursor is not None:
        place = cursors.read(TurnsCursor, params.cursor)
        if place.session_id != session_id:
            raise Problem("bad-cursor", "cursor: belongs to another session")
        cursors.check_same(given(params, *_FILTERS), place.model_dump())
        after, before = place.after or 0, place.before
        if place.order == "desc":
            before = place.seq if before is None else min(before, place.seq)
        else:
            after = max(after, place.seq)
    return queries.Window(
        after=after,
        before=LAST_SEQ if before is None else before,
        descending=place.order == "desc",
        limit=params.limit,
        retracted=place.include is not None,
        branch=place.branch,
    )


def _following(params: TurnsParams, session_id: str, window: queries.Window, last_seq: int) -> str:
    """The cursor of the next page."""
    place: TurnsParams | TurnsCursor = params
    if params.cursor is not None:
        place = cursors.read(TurnsCursor, params.cursor)
    return TurnsCursor(
        session_id=session_id,
        seq=last_seq,
        after=place.after,
        before=place.before,
        order="desc" if window.descending else "asc",
        branch=window.branch,
        include="retracted" if window.retracted else None,
    ).text()


@router.post(
    "/v1/sessions/{session_id}/turns",
    summary="Append a turn",
    status_code=201,
    response_class=Response,
    responses=answers(
        201,
        Written,
        examples.WRITTEN,
        *("bad-request", "not-found", "precondition-failed", "too-large"),
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
