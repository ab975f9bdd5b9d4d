"""What a session has been through: revisions of its turns, its titles, its branches."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api import cursors, examples, trail
from turnlog_api.docs import answers, asks
from turnlog_api.models import BranchPage, RevisionPage, TitlePage
from turnlog_api.params import CursorText, Limit, ReadParams, path_id, read_params
from turnlog_api.problems import Problem
from turnlog_api.queries import Query
from turnlog_api.replies import on_session, page
from turnlog_api.service import caller_of, service_of
from turnlog_api.settled import settled
from turnlog_api.strongpage import Folded
from turnlog_api.trail import TrailPage, TrailWindow
from turnlog_schemas.events import Id
from turnlog_schemas.rows import LAST_SEQ

router = APIRouter(tags=["sessions"])


class TrailParams(ReadParams):
    limit: Limit = 100
    cursor: CursorText = None


class TrailCursor(cursors.Cursor):
    """Goes on behind `seq`."""

    list: str
    session_id: Id
    turn_id: Id | None = None
    seq: int = Field(ge=0, le=LAST_SEQ)


def _answers(model: type[BaseModel], example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return answers(
        200,
        model,
        example,
        *("bad-cursor", "not-found", "behind-head", "parked"),
        *("postgres-unavailable", "redis-unavailable", "log-damaged", "not-projected"),
        on_session=True,
    )


@router.get(
    "/v1/sessions/{session_id}/turns/{turn_id}/revisions",
    summary="Revisions of a turn",
    response_class=Response,
    responses=_answers(RevisionPage, examples.REVISION_PAGE),
    openapi_extra=asks(path=("session_id", "turn_id"), query=TrailParams),
    tags=["turns"],
)
async def list_revisions(request: Request) -> Response:
    """Edits and the retraction of a turn, oldest first: who, when, and what was changed. A turn
    that was erased has none."""
    scope = caller_of(request).scope
    session_id, turn_id = path_id(request, "session_id"), path_id(request, "turn_id")
    return await _list(
        request,
        "revisions",
        lambda window: trail.revisions(scope, session_id, turn_id, window),
        lambda folded, window: trail.folded_revisions(folded, turn_id, window),
        turn_id=turn_id,
    )


@router.get(
    "/v1/sessions/{session_id}/titles",
    summary="Titles of a session",
    response_class=Response,
    responses=_answers(TitlePage, examples.TITLE_PAGE),
    openapi_extra=asks(path=("session_id",), query=TrailParams),
)
async def list_titles(request: Request) -> Response:
    """Every title that the session has had, oldest first: who gave it, when, and what it
    replaced."""
    scope, session_id = caller_of(request).scope, path_id(request, "session_id")
    return await _list(
        request,
        "titles",
        lambda window: trail.titles(scope, session_id, window),
        trail.folded_titles,
    )


@router.get(
    "/v1/sessions/{session_id}/branches",
    summary="Branches of a session",
    response_class=Response,
    responses=_answers(BranchPage, examples.BRANCH_PAGE),
    openapi_extra=asks(path=("session_id",), query=TrailParams),
)
async def list_branches(request: Request) -> Response:
    """The branches of a session, oldest first: who began it, when, and from where."""
    scope, session_id = caller_of(request).scope, path_id(request, "session_id")
    return await _list(
        request,
        "branches",
        lambda window: trail.branches(scope, session_id, window),
        trail.folded_branches,
    )


async def _list(
    request: Request,
    name: str,
    query: Callable[[TrailWindow], Query[TrailPage | None]],
    folded: Callable[[Folded, TrailWindow], Awaitable[TrailPage]],
    *,
    turn_id: str | None = None,
) -> Response:
    service, caller = service_of(request), caller_of(request)
    session_id = path_id(request, "session_id")
    params = read_params(request, TrailParams)
    after = 0
    if params.cursor is not None:
        cursor = cursors.read(TrailCursor, params.cursor)
        if (cursor.list, cursor.session_id, cursor.turn_id) != (name, session_id, turn_id):
            raise Problem("bad-cursor", "cursor: belongs to another list")
        after = cursor.seq
    window = TrailWindow(after, params.limit)
    found, head = await settled(
        service,
        caller,
        session_id,
        params,
        lambda: service.reader.fetch(query(window)),
        lambda: service.strong.answer(
            caller.scope,
            session_id,
            service.reader.fetch(query(window)),
            lambda tail: folded(tail, window),
        ),
    )
    if not found.found:
        raise Problem("not-found", "the session has no such turn")
    following = None
    if found.last_seq is not None:
        following = TrailCursor(
            list=name, session_id=session_id, turn_id=turn_id, seq=found.last_seq
        ).text()
    return on_session(page(b",".join(found.items), following), seq=found.seq, head=head)
