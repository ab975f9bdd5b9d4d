"""Sessions: lists of them, one, and what changes one."""

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api import cursors, examples, queries
from turnlog_api.asof import parse
from turnlog_api.docs import answers, asks
from turnlog_api.models import (
    Cleared,
    Session,
    SessionIn,
    SessionPage,
    SessionPatch,
    Written,
)
from turnlog_api.params import (
    DeleteParams,
    SessionParams,
    SessionsParams,
    WriteParams,
    given,
    path_id,
    read_params,
)
from turnlog_api.params import Time as TimeText
from turnlog_api.replies import JSON, on_session, page, past
from turnlog_api.service import caller_of, service_of
from turnlog_api.settled import settled
from turnlog_schemas.events import Id, TextId

router = APIRouter(tags=["sessions"])

_FILTERS = ("user_id", "project", "archived", "since", "until")
_WRITE_PROBLEMS = (
    *("not-found", "precondition-failed", "key-reused"),
    *("redis-unavailable", "log-damaged"),
)


class SessionsCursor(cursors.Cursor):
    """Goes on behind the session with this time and id."""

    last_time: TimeText | None = None
    last_id: Id | None = None
    user_id: TextId | None = None
    project: TextId | None = None
    archived: bool | None = None
    since: TimeText | None = None
    until: TimeText | None = None
    version: int = Field(1, ge=1, le=1)


@router.get(
    "/v1/sessions",
    summary="Sessions, the newest first",
    response_class=Response,
    responses=answers(
        200, SessionPage, examples.SESSION_PAGE, "bad-cursor", "postgres-unavailable"
    ),
    openapi_extra=asks(query=SessionsParams),
)
async def list_sessions(request: Request) -> Response:
    """Sessions that are not deleted, by updated_at: a user's own and those that are visible to the
    tenant, or with `user_id` those of one user; for a service that acts for nobody, all."""
    service, caller = service_of(request), caller_of(request)
    params = read_params(request, SessionsParams)
    if params.cursor is None:
        cursor = SessionsCursor.model_construct(
            last_time=None, last_id=None, **{name: getattr(params, name) for name in _FILTERS}
        )
        last = None
    else:
        cursor = cursors.read(SessionsCursor, params.cursor)
        cursors.check_same(given(params, *_FILTERS), cursor.model_dump())
        if cursor.last_time is None or cursor.last_id is None:
            raise cursors.unusable()
        last = (cursor.last_time, cursor.last_id)
    filters = queries.Filters(**{name: getattr(cursor, name) for name in _FILTERS})
    found = await service.reader.fetch(
        queries.sessions_page(caller.scope, filters, limit=params.limit, last=last)
    )
    following = None
    if found.last is not None:
        place = {"last_time": found.last[0], "last_id": found.last[1]}
        following = cursor.model_copy(update=place).text()
    return Response(page(found.items, following), media_type=JSON)


@router.post(
    "/v1/sessions",
    summary="Begin a session",
    status_code=201,
    response_class=Response,
    responses=answers(
        201,
        Written,
        {**examples.WRITTEN, "seq": 1, "turn_id": None},
        *_WRITE_PROBLEMS,
        *("session-exists", "too-large", "unsupported-media-type"),
        on_session=True,
        also=(200, 202),
    ),
    openapi_extra=asks(
        query=WriteParams, body=SessionIn, body_example=examples.SESSION_IN, writes=True
    ),
)
async def begin_session(request: Request) -> Response:
    """Begin a session. 200: an earlier request with the same Idempotency-Key had begun it."""
    return await service_of(request).writer.begin(caller_of(request), request)


@router.get(
    "/v1/sessions/{session_id}",
    summary="One session",
    response_class=Response,
    responses=answers(
        200,
        Session,
        examples.SESSION,
        *("not-found", "behind-head", "parked"),
        *("postgres-unavailable", "redis-unavailable", "log-damaged", "not-projected"),
        on_session=True,
        as_of=True,
    ),
    openapi_extra=asks(path=("session_id",), query=SessionParams),
)
async def get_session(request: Request) -> Response:
    """One session; also a deleted one, which says so. With `as_of` it is as it was then, for
    whoever may see it now."""
    service, caller = service_of(request), caller_of(request)
    session_id = path_id(request, "session_id")
    params = read_params(request, SessionParams)
    if params.as_of is not None:
        seen = await service.time_travel.session(caller, session_id, params, parse(params.as_of))
        answer = on_session(seen.answer.body, seq=seen.log.projected_seq, head=seen.log.head)
        return past(answer, seen.at)
    scope = caller.scope
    found, head = await settled(
        service,
        caller,
        session_id,
        params,
        lambda: service.reader.fetch(queries.session(scope, session_id)),
        lambda: service.time_travel.strong_session(caller, session_id),
    )
    return on_session(found.body, seq=found.seq, head=head)


@router.patch(
    "/v1/sessions/{session_id}",
    summary="Change a session",
    response_class=Response,
    responses=answers(
        200,
        Written,
        {**examples.WRITTEN, "turn_id": None},
        *_WRITE_PROBLEMS,
        *("too-large", "unsupported-media-type"),
        on_session=True,
        also=(202,),
    ),
    openapi_extra=asks(
        path=("session_id",),
        query=WriteParams,
        body=SessionPatch,
        body_example=examples.SESSION_PATCH,
        writes=True,
    ),
)
async def change_session(request: Request) -> Response:
    """Change title, project, visibility, metadata, archived, pinned, or the branch shown."""
    service, caller = service_of(request), caller_of(request)
    return await service.writer.change(caller, request, path_id(request, "session_id"))


@router.delete(
    "/v1/sessions/{session_id}",
    summary="Delete or erase a session",
    response_class=Response,
    responses=answers(
        200,
        Written,
        {**examples.WRITTEN, "turn_id": None},
        *_WRITE_PROBLEMS,
        on_session=True,
        also=(202,),
    ),
    openapi_extra=asks(path=("session_id",), query=DeleteParams, writes=True),
)
async def delete_session(request: Request) -> Response:
    """Take the session out of every list. Nothing is lost: `restore` brings it back. With
    `erase=true` it is removed for good, from the log as well, and takes nothing any more."""
    service, caller = service_of(request), caller_of(request)
    session_id = path_id(request, "session_id")
    if read_params(request, DeleteParams).erase:
        return await service.writer.erase(caller, request, session_id)
    return await service.writer.delete(caller, request, session_id)


@router.post(
    "/v1/sessions/{session_id}/restore",
    summary="Undo a delete",
    status_code=201,
    response_class=Response,
    responses=answers(
        201,
        Written,
        {**examples.WRITTEN, "turn_id": None},
        *_WRITE_PROBLEMS,
        on_session=True,
        also=(200, 202),
    ),
    openapi_extra=asks(path=("session_id",), query=WriteParams, writes=True),
)
async def restore_session(request: Request) -> Response:
    """Bring a deleted session back, with what was appended meanwhile."""
    service, caller = service_of(request), caller_of(request)
    return await service.writer.restore(caller, request, path_id(request, "session_id"))


@router.post(
    "/v1/sessions/{session_id}/clear",
    summary="Hide the turns so far",
    status_code=201,
    response_class=Response,
    responses=answers(
        201,
        Cleared,
        {**examples.WRITTEN, "turn_id": None, "hidden": 2},
        *_WRITE_PROBLEMS,
        on_session=True,
        also=(200, 202),
    ),
    openapi_extra=asks(path=("session_id",), query=WriteParams, writes=True),
)
async def clear_session(request: Request) -> Response:
    """Hide the turns so far; they stay in the log. Answers how many that were."""
    service, caller = service_of(request), caller_of(request)
    return await service.writer.clear(caller, request, path_id(request, "session_id"))
