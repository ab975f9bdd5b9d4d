"""Users: erasing all that belongs to one."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from turnlog_api.auth import ADMIN
from turnlog_api.docs import answers, asks
from turnlog_api.params import NoParams, read_params
from turnlog_api.problems import Problem
from turnlog_api.replies import json
from turnlog_api.service import caller_of, service_of
from turnlog_schemas.events import TextId

router = APIRouter(tags=["operation"])

_user_id = TypeAdapter(TextId)


class FailedSession(BaseModel):
    """A session that could not be erased, and why."""

    session_id: str
    detail: str


class UserErased(BaseModel):
    """What was done. Their text goes as soon as a projector has passed the tombstones."""

    user_id: str
    erased: Annotated[int, Field(description="Sessions that were erased by this request.")]
    failed: Annotated[list[FailedSession], Field(description="Those that could not be: ask again.")]


@router.delete(
    "/v1/users/{user_id:path}",
    summary="Erase a user",
    response_class=Response,
    responses=answers(
        200,
        UserErased,
        {"user_id": "u-1", "erased": 12, "failed": []},
        *("redis-unavailable", "postgres-unavailable"),
        also=(202,),
    ),
    openapi_extra=asks(path=("user_id",), query=NoParams),
)
async def erase_user(request: Request) -> Response:
    """Erase every session of a user of the tenant for good, deleted ones too; scope `admin`. What
    the user wrote in sessions of others stays: erase those turns. A user without sessions is no
    fault. 202: some could not be erased; `failed` says why."""
    service, caller = service_of(request), caller_of(request)
    caller.need(ADMIN)
    read_params(request, NoParams)
    try:
        user_id = _user_id.validate_python(request.path_params["user_id"])
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise Problem("invalid", f"user_id: {reason[0].lower()}{reason[1:]}") from None
    done = await service.user_eraser.erase(caller, user_id)
    return json(done._asdict(), 202 if done.failed else 200)
