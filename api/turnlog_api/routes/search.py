"""Search over all sessions, or in one."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api import cursors
from turnlog_api.docs import asks
from turnlog_api.params import CursorText, Params, given, read_params
from turnlog_api.params import Time as TimeText
from turnlog_api.problems import Problem
from turnlog_api.replies import JSON
from turnlog_api.searchdocs import search_answers
from turnlog_api.searching import Found, Place, SearchFilters, items_of, search
from turnlog_api.service import caller_of, service_of
from turnlog_schemas.events import Id, Role, TextId
from turnlog_schemas.rows import LAST_SEQ
from turnlog_schemas.searchquery import MAX_QUERY, parse_query

router = APIRouter(tags=["search"])

_FILTERS = ("session_id", "user_id", "role", "project", "since", "until")
_GIVEN = ("q", "sort", "include", *_FILTERS)


class SearchParams(Params):
    q: Annotated[
        str | None,
        Field(
            max_length=MAX_QUERY,
            description='What to look for, as in a web search: all words; `"words side by side"`; '
            "`-without`; `or` between alternatives. Needed unless there is a cursor.",
        ),
    ] = None
    session_id: Annotated[Id | None, Field(description="In this session only.")] = None
    user_id: Annotated[TextId | None, Field(description="In sessions of this user.")] = None
    role: Annotated[
        Role | None, Field(description="Turns of this role only; also tool, system and developer.")
    ] = None
    project: TextId | None = None
    since: Annotated[TimeText | None, Field(description="At or after this time.")] = None
    until: Annotated[TimeText | None, Field(description="Before this time.")] = None
    sort: Annotated[
        Literal["rank", "newest"], Field(description="The best first, or the newest.")
    ] = "rank"
    include: Annotated[
        Literal["tool_results"] | None, Field(description="Look in results of tools as well.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=100, description="How many items at most.")] = 20
    cursor: CursorText = None


class SearchCursor(cursors.Cursor):
    """Goes on behind a hit of the same search."""

    q: str
    at: TimeText
    last_session: Id
    last_seq: int = Field(ge=0, le=LAST_SEQ)
    rank: float = Field(ge=0, le=1e9, allow_inf_nan=False)
    horizon: TimeText | None = None
    session_id: Id | None = None
    user_id: TextId | None = None
    role: Role | None = None
    project: TextId | None = None
    since: TimeText | None = None
    until: TimeText | None = None
    sort: Literal["rank", "newest"] = "rank"
    include: Literal["tool_results"] | None = None


@router.get(
    "/v1/search",
    summary="Search in turns",
    response_class=Response,
    responses=search_answers(),
    openapi_extra=asks(query=SearchParams),
)
async def search_turns(request: Request) -> Response:
    """Turns that hold the words, over all branches, with the part that shows why; and titles that
    somebody gave a session (`turn_id` is null). Accents, case and English plurals do not count; of
    Chinese, Japanese, Korean and Thai any part is found. Results of tools are looked at on request,
    instructions (`system`, `developer`) by `role`. A page may hold fewer items than `limit`."""
    service, caller = service_of(request), caller_of(request)
    params = read_params(request, SearchParams)
    wanted: SearchParams | SearchCursor = params
    last = None
    if params.cursor is not None:
        cursor = cursors.read(SearchCursor, params.cursor)
        cursors.check_same(given(params, *_GIVEN), cursor.model_dump())
        wanted, last = cursor, _place(cursor)
    if wanted.q is None:
        raise Problem("invalid", "q: say what to look for")
    words = parse_query(wanted.q)
    filters = SearchFilters(
        **{name: getattr(wanted, name) for name in _FILTERS},
        tool_results=wanted.include is not None,
    )
    found = await service.reader.fetch(
        search(
            caller.scope,
            words,
            filters,
            ranked=wanted.sort == "rank",
            limit=params.limit,
            last=last,
        )
    )
    following = None if found.last is None else _following(wanted, wanted.q, found.last)
    body = {
        "items": await items_of(words, found.hits),
        "next_cursor": following,
        "has_more": following is not None,
        "complete": found.complete,
        "lag": {
            "events": found.events_behind,
            "sessions": found.sessions_behind,
            "seconds": found.seconds_behind,
        },
    }
    return Response(to_json(body), 200, _lag_headers(found), JSON)


def _lag_headers(found: Found) -> dict[str, str]:
    return {
        "Turnlog-Search-Behind": str(found.events_behind),
        "Turnlog-Search-Lag": f"{found.seconds_behind:.3f}",
    }


def _place(cursor: SearchCursor) -> Place:
    return Place(cursor.at, cursor.last_session, cursor.last_seq, cursor.rank, cursor.horizon)


def _following(wanted: SearchParams | SearchCursor, q: str, last: Place) -> str:
    """The cursor of the next page."""
    return SearchCursor(
        q=q,
        at=last.at,
        last_session=last.session_id,
        last_seq=last.seq,
        rank=last.rank,
        horizon=last.horizon,
        sort=wanted.sort,
        include=wanted.include,
        **{name: getattr(wanted, name) for name in _FILTERS},
    ).text()
