"""The log of a session itself."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api import cursors, examples
from turnlog_api.docs import answers, asks
from turnlog_api.logpage import EventsWindow, events_page
from turnlog_api.models import EventPage
from turnlog_api.params import CursorText, Limit, ReadParams, Seq, given, path_id, read_params
from turnlog_api.problems import Problem
from turnlog_api.replies import on_session, page
from turnlog_api.service import caller_of, service_of
from turnlog_schemas.events import TYPE_PATTERN, Id
from turnlog_schemas.rows import LAST_SEQ

router = APIRouter(tags=["log"])

_FILTERS = ("after", "before", "order", "type")

EventType = Annotated[str, Field(pattern=TYPE_PATTERN, max_length=64)]


class EventsParams(ReadParams):
    limit: Limit = 100
    cursor: CursorText = None
    after: Annotated[Seq | None, Field(description="Only events behind this seq.")] = None
    before: Annotated[Seq | None, Field(description="Only events ahead of this seq.")] = None
    order: Annotated[
        Literal["asc", "desc"], Field(description="`desc` begins with the newest event.")
    ] = "asc"
    type: Annotated[
        EventType | None,
        Field(
            description="Only events of this type. A page ends after 5,000 events of any type, "
            "however few it holds by then: `next_cursor` tells whether to go on."
        ),
    ] = None


class EventsCursor(cursors.Cursor):
    """Goes on behind `seq`, in the order of the list."""

    session_id: Id
    seq: int = Field(ge=0, le=LAST_SEQ)
    after: int | None = Field(None, ge=0, le=LAST_SEQ)
    before: int | None = Field(None, ge=0, le=LAST_SEQ)
    order: Literal["asc", "desc"] = "asc"
    type: EventType | None = None


@router.get(
    "/v1/sessions/{session_id}/events",
    summary="The log of a session",
    response_class=Response,
    responses=answers(
        200,
        EventPage,
        examples.EVENT_PAGE,
        *("bad-cursor", "not-found", "behind-head"),
        *("postgres-unavailable", "log-damaged", "not-projected"),
        on_session=True,
    ),
    openapi_extra=asks(path=("session_id",), query=EventsParams),
)
async def list_events(request: Request) -> Response:
    """The events of a session by seq, without a gap, each as it is stored, with its `seq` and
    `recorded_at`; also those that are not projected yet, that cannot be folded, or that are of
    unknown types. Of erased events stubs are left. `repeat_of` marks an event that came again: it
    folds to nothing. A page may end before its limit when its events are large. While Redis does
    not answer the list ends with what is archived; `Turnlog-Head` is absent then."""
    service, caller = service_of(request), caller_of(request)
    session_id = path_id(request, "session_id")
    params = read_params(request, EventsParams)
    cursor = _cursor(params, session_id)
    window = _window(params, cursor)
    found, log = await service.logs.read(
        caller, session_id, params, lambda log: events_page(service.logs, log, window)
    )
    following = None
    if found.last_seq is not None:
        place = cursor or params
        following = EventsCursor(
            session_id=session_id,
            seq=found.last_seq,
            after=place.after,
            before=place.before,
            order=place.order,
            type=place.type,
        ).text()
    body = page(b",".join(found.items), following)
    return on_session(body, seq=log.projected_seq, head=log.head)


def _cursor(params: EventsParams, session_id: str) -> EventsCursor | None:
    if params.cursor is None:
        return None
    cursor = cursors.read(EventsCursor, params.cursor)
    if cursor.session_id != session_id:
        raise Problem("bad-cursor", "cursor: belongs to another session")
    cursors.check_same(given(params, *_FILTERS), cursor.model_dump())
    return cursor


def _window(params: EventsParams, cursor: EventsCursor | None) -> EventsWindow:
    place = cursor or params
    after = place.after or 0
    before = LAST_SEQ if place.before is None else place.before
    if cursor is not None:
        if cursor.order == "desc":
            before = min(before, cursor.seq)
        else:
            after = max(after, cursor.seq)
    return EventsWindow(after, before, place.order == "desc", params.limit, place.type)
