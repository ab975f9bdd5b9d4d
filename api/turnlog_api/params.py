"""What requests may say besides their body: query parameters, path ids, conditional headers.

Query strings are read here instead of by the framework: it takes 140 us a request for ten of them,
this takes 5, and the documentation comes from the same models.
"""

import re
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from turnlog_api.asof import normal, time_of
from turnlog_api.problems import Problem
from turnlog_schemas.events import Id, Reason, TextId
from turnlog_schemas.ids import ID_RULE, is_id
from turnlog_schemas.places import Place, place_of
from turnlog_schemas.rows import LAST_SEQ

P = TypeVar("P", bound="Params")

MAX_KEY = 255
ONE_SEQ = '"([0-9]{1,15})"'
"""A regular expression of what `If-Match` takes."""

_one_seq = re.compile(ONE_SEQ)


Time = Annotated[str, AfterValidator(time_of), Field(json_schema_extra={"format": "date-time"})]
Seq = Annotated[int, Field(ge=0, le=LAST_SEQ)]
Limit = Annotated[int, Field(ge=1, le=1000, description="How many items at most.")]
CursorText = Annotated[
    str | None,
    Field(
        description="`next_cursor` of the page before. It stands alone: filters may be left out."
    ),
]
Consistency = Annotated[
    Literal["eventual", "strong"],
    Field(description="`strong` folds what is in the log, but not yet projected, into the answer."),
]
AsOfText = Annotated[
    str | None,
    AfterValidator(lambda text: None if text is None else normal(text)),
    Field(
        description="Show it as it was after this event (a seq), or after the last event that the "
        "log recorded up to this time (RFC 3339; + is written %2B in an address). Erased text is "
        "never shown.",
        json_schema_extra={"pattern": r"^([0-9]{1,15}|[0-9]{4}-.+)$"},
    ),
]


class Params(BaseModel):
    """Query parameters; one that is not listed is refused, so that a typing error shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoParams(Params):
    """An address without query parameters."""


class ReadParams(Params):
    consistency: Consistency = "eventual"
    min_seq: Annotated[
        Seq | None, Field(description="Wait (for a bounded time) until this seq is in the answer.")
    ] = None


class SessionParams(ReadParams):
    as_of: AsOfText = None


class TurnsParams(ReadParams):
    limit: Limit = 100
    cursor: CursorText = None
    after: Annotated[Seq | None, Field(description="Only turns behind this seq.")] = None
    before: Annotated[Seq | None, Field(description="Only turns ahead of this seq.")] = None
    order: Annotated[
        Literal["asc", "desc"], Field(description="`desc` begins with the newest turn.")
    ] = "asc"
    branch: Annotated[Id | None, Field(description="A branch; else the shown one.")] = None
    include: Annotated[
        Literal["retracted"] | None, Field(description="Show stubs of retracted turns.")
    ] = None
    as_of: AsOfText = None


class SessionsParams(Params):
    limit: Limit = 100
    cursor: CursorText = None
    user_id: Annotated[TextId | None, Field(description="Sessions of this user.")] = None
    project: TextId | None = None
    archived: bool | None = None
    since: Annotated[Time | None, Field(description="Updated at or after this time.")] = None
    until: Annotated[Time | None, Field(description="Updated before this time.")] = None


class ProjectsParams(Params):
    limit: Limit = 100
    cursor: CursorText = None
    user_id: Annotated[TextId | None, Field(description="Of the sessions of this user.")] = None
    archived: bool | None = None


class WriteParams(Params):
    ack: Annotated[
        Literal["accepted", "projected"],
        Field(
            description="`projected` answers when the read models show the write, or 202 when they "
            "do not within a bounded time; the write stands in both cases."
        ),
    ] = "accepted"


class RetractParams(WriteParams):
    reason: Annotated[Reason | None, Field(description="Why; it is kept in the log.")] = None
    erase: Annotated[
        bool,
        Field(description="Remove what was written for good, from the log as well."),
    ] = False


class DeleteParams(WriteParams):
    erase: Annotated[
        bool,
        Field(description="Remove the session for good, from the log as well. No undoing it."),
    ] = False


def read_params(request: Request, kind: type[P]) -> P:
    """The query parameters, or a 422 `Problem` that names each bad one."""
    return _parse(kind, request.scope["query_string"])


@lru_cache(maxsize=2048)
def _parse(kind: type[P], query: bytes) -> P:
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50
        )
    except ValueError:
        raise Problem("bad-request", "the query string is not percent-encoded UTF-8") from None
    try:
        return kind.model_validate(dict(pairs))
    except ValidationError as error:
        raise _bad_parameters(error) from None


def given(params: Params, *names: str) -> dict[str, Any]:
    """Those of the parameters that the caller sent."""
    return {name: getattr(params, name) for name in names if name in params.model_fields_set}


def path_id(request: Request, name: str) -> str:
    """An id from the path. The answer does not repeat one that is none: it may hold anything."""
    value: str = request.path_params[name]
    if not is_id(value):
        raise Problem("invalid", f"{name}: {ID_RULE}")
    return value


def expected_seq(request: Request) -> int | None:
    """The seq of `If-Match: "<seq>"`."""
    value = request.headers.get("if-match")
    if value is None:
        return None
    found = _one_seq.fullmatch(value.strip())
    if found is None:
        raise Problem("bad-request", 'If-Match: allowed is one seq in quotes, such as "12"')
    return int(found[1])


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key; the same one makes the same event."""
    value = request.headers.get("idempotency-key")
    if value is None:
        return None
    if not 1 <= len(value) <= MAX_KEY:
        raise Problem("bad-request", f"Idempotency-Key: allowed are 1 to {MAX_KEY} characters")
    return value


def _bad_parameters(error: ValidationError) -> Problem:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return _invalid("parameter", [(str(fault["loc"][0])[:200], _detail(fault)) for fault in found])


def bad_body(error: ValidationError, body: object) -> Problem:
    """A 422 that lists the faults of a body by JSON pointers into it (RFC 6901)."""
    found = error.errors(include_url=False, include_context=False)
    faults = [(pointer(place_of(fault, body)), _detail(fault)) for fault in found]
    # A value that may be of several kinds has a fault for each: what is wrong deeper inside, with
    # the kind that it is of, says more than that it is of no other.
    places = {place for place, _ in faults}
    return _invalid(
        "pointer",
        [each for each in faults if not any(p.startswith(f"{each[0]}/") for p in places)],
    )


def pointer(place: Place) -> str:
    """A JSON pointer."""
    steps = (str(step)[:200].replace("~", "~0").replace("/", "~1") for step in place)
    return "".join(f"/{step}" for step in steps)


def _detail(fault: ErrorDetails) -> str:
    message = fault["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _invalid(kind: str, faults: list[tuple[str, str]]) -> Problem:
    """Lists the faults by place; it never repeats what was given."""
    details: dict[str, list[str]] = {}
    for place, detail in faults:
        details.setdefault(place, []).append(detail)
    errors = [
        {kind: place, "detail": "; or ".join(dict.fromkeys(several))}
        for place, several in list(details.items())[:10]
    ]
    first = errors[0]
    return Problem("invalid", f"{first[kind]}: {first['detail']}", errors=errors)
