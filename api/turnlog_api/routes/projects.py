"""Projects: which there are, and how many sessions each has."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api import cursors, examples
from turnlog_api.docs import answers, asks
from turnlog_api.models import ProjectPage
from turnlog_api.params import ProjectsParams, given, read_params
from turnlog_api.projects import projects_page
from turnlog_api.replies import JSON, page
from turnlog_api.service import caller_of, service_of
from turnlog_schemas.events import TextId

router = APIRouter(tags=["projects"])

_FILTERS = ("user_id", "archived")


class ProjectsCursor(cursors.Cursor):
    """Goes on behind the project of this name ('': the sessions without one)."""

    after_project: str
    user_id: TextId | None = None
    archived: bool | None = None


@router.get(
    "/v1/projects",
    summary="Projects, by name",
    response_class=Response,
    responses=answers(
        200, ProjectPage, examples.PROJECT_PAGE, "bad-cursor", "postgres-unavailable"
    ),
    openapi_extra=asks(query=ProjectsParams),
)
async def list_projects(request: Request) -> Response:
    """Projects of the sessions that the caller may read and that are not deleted, with counts. The
    sessions without a project come first, as project null."""
    service, caller = service_of(request), caller_of(request)
    params = read_params(request, ProjectsParams)
    last, user_id, archived = None, params.user_id, params.archived
    if params.cursor is not None:
        cursor = cursors.read(ProjectsCursor, params.cursor)
        cursors.check_same(given(params, *_FILTERS), cursor.model_dump())
        last, user_id, archived = cursor.after_project, cursor.user_id, cursor.archived
    items, following = await service.reader.fetch(
        projects_page(
            caller.scope, user_id=user_id, archived=archived, limit=params.limit, last=last
        )
    )
    next_cursor = None
    if following is not None:
        next_cursor = ProjectsCursor(
            after_project=following, user_id=user_id, archived=archived
        ).text()
    return Response(page(items, next_cursor), media_type=JSON)
