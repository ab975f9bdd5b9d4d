"""Reading the body of a request."""

from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import Request

from turnlog_api.params import bad_body
from turnlog_api.problems import Problem

B = TypeVar("B", bound=BaseModel)


async def read_body(request: Request, kind: type[B]) -> dict[str, Any]:
    """The JSON object, checked against the model, with the fields as they were sent.

    The media type must say JSON: a form that a page of another origin posts cannot.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem("unsupported-media-type", "send `Content-Type: application/json`")
    try:
        value: Any = from_json(await request.body(), allow_inf_nan=False)
    except ValueError as error:
        reason = str(error).splitlines()[0][:120]
        raise Problem("bad-request", f"the body is not JSON: {reason}") from None
    if not isinstance(value, dict):
        raise Problem("invalid", "the body must be a JSON object")
    try:
        kind.model_validate(value)
    except ValidationError as error:
        raise bad_body(error, cast(object, value)) from None
    return cast(dict[str, Any], value)
