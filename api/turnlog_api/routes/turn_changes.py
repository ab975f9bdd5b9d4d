"""What changes one turn: edits, retractions, annotations."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api import examples
from turnlog_api.docs import answers, asks
from turnlog_api.models import AnnotationIn, TurnPatch, Written
from turnlog_api.params import RetractParams, WriteParams, path_id
from turnlog_api.service import caller_of, service_of

router = APIRouter(tags=["turns"])

_PATH = ("session_id", "turn_id")
_PROBLEMS = (
    *("not-found", "precondition-failed", "key-reused"),
    *("redis-unavailable", "log-damaged"),
)
_BODY_PROBLEMS = ("too-large", "unsupported-media-type")


def _answers(status: int, *problems: str, also: tuple[int, ...]) -> dict[int | str, dict[str, Any]]:
    return answers(
        status, Written, examples.WRITTEN, *_PROBLEMS, *problems, on_session=True, also=also
    )


@router.patch(
    "/v1/sessions/{session_id}/turns/{turn_id}",
    summary="Edit a turn",
    response_class=Response,
    responses=_answers(200, *_BODY_PROBLEMS, also=(202,)),
    openapi_extra=asks(
        path=_PATH,
        query=WriteParams,
        body=TurnPatch,
        body_example=examples.TURN_PATCH,
        writes=True,
    ),
)
async def edit_turn(request: Request) -> Response:
    """Give a turn new content. The former one stays as a revision; of a retracted turn nothing
    changes."""
    service, caller = service_of(request), caller_of(request)
    session_id, turn_id = (path_id(request, name) for name in _PATH)
    return await service.writer.edit(caller, request, session_id, turn_id)


@router.delete(
    "/v1/sessions/{session_id}/turns/{turn_id}",
    summary="Retract or erase a turn",
    response_class=Response,
    responses=_answers(200, also=(202,)),
    openapi_extra=asks(path=_PATH, query=RetractParams, writes=True),
)
async def retract_turn(request: Request) -> Response:
    """Take a turn out of histories, counts and search; it stays in the log. With `erase=true` what
    was written in it (a pasted secret) is removed for good, from the log as well."""
    service, caller = service_of(request), caller_of(request)
    session_id, turn_id = (path_id(request, name) for name in _PATH)
    return await service.writer.retract(caller, request, session_id, turn_id)


@router.post(
    "/v1/sessions/{session_id}/turns/{turn_id}/annotations",
    summary="Rate, react to or comment on a turn",
    status_code=201,
    response_class=Response,
    responses=_answers(201, *_BODY_PROBLEMS, also=(200, 202)),
    openapi_extra=asks(
        path=_PATH,
        query=WriteParams,
        body=AnnotationIn,
        body_example=examples.ANNOTATION_IN,
        writes=True,
    ),
)
async def annotate_turn(request: Request) -> Response:
    """Rate, react to or comment on a turn, as the caller or, for a service, as `by`."""
    service, caller = service_of(request), caller_of(request)
    session_id, turn_id = (path_id(request, name) for name in _PATH)
    return await service.writer.annotate(caller, request, session_id, turn_id)
