"""The OpenAPI document. Routes read their requests themselves, so they say here what they read."""

from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from turnlog_api import examples
from turnlog_api.models import ProblemDocument
from turnlog_api.params import MAX_KEY, ONE_SEQ, Params
from turnlog_api.problems import KINDS, MEDIA_TYPE
from turnlog_schemas.ids import ID_PATTERN, MAX_TEXT_ID

_REF = "#/components/schemas/{model}"
_MODELS: dict[str, type[BaseModel]] = {}
_EXAMPLES: dict[str, Any] = {}
"""FastAPI leaves every null out of the document, in examples too: they are put in at the end."""
_PATH = {
    "session_id": "The session. 1 to 128 of `A-Z a-z 0-9 . _ ~ -`.",
    "turn_id": "A turn of the session.",
    "user_id": "A user, percent-encoded.",
    "rebuild_id": "The number of a rebuild.",
    "export_id": "An export.",
}
_HEADERS = {
    "Turnlog-User": "The user to act for; scope `service` or `admin`.",
    "Turnlog-Tenant": "The tenant; with auth off only.",
}
_KEY_HEADER = {
    "Idempotency-Key": "Of your choice, for this request and its repeats: they write once.",
}
_SEQ_HEADER = {
    "If-Match": 'Write only when the session is at this seq, such as `"12"`; else 412.',
}
_ID: dict[str, Any] = {"type": "string", "pattern": ID_PATTERN}
_NUMBER: dict[str, Any] = {"type": "integer", "minimum": 1}
_SCHEMAS: dict[str, dict[str, Any]] = {
    "session_id": _ID,
    "turn_id": _ID,
    "user_id": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_ID},
    "rebuild_id": _NUMBER,
    "Turnlog-User": {"type": "string", "maxLength": MAX_TEXT_ID},
    "Turnlog-Tenant": {"type": "string", "pattern": ID_PATTERN.replace("{1,", "{0,")},
    "Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": MAX_KEY},
    "If-Match": {"type": "string", "pattern": f"^{ONE_SEQ}$"},
}
"""What path parameters and headers look like; any text, where nothing is said."""
SESSION_HEADERS: dict[str, Any] = {
    "Turnlog-Seq": {
        "description": "The seq that the read models show.",
        "schema": {"type": "integer"},
    },
    "Turnlog-Head": {
        "description": "The seq that the log has; absent while Redis is down.",
        "schema": {"type": "integer"},
    },
}
AS_OF_HEADERS: dict[str, Any] = {
    "Turnlog-As-Of": {
        "description": "With `as_of`: the seq of the event that the answer is as of.",
        "schema": {"type": "integer"},
    },
}


def asks(
    *,
    path: tuple[str, ...] = (),
    query: type[Params] | None = None,
    body: type[BaseModel] | None = None,
    body_example: dict[str, Any] | None = None,
    writes: bool = False,
    of_a_session: bool = True,
) -> dict[str, Any]:
    """What a route reads of a request, as `openapi_extra`."""
    parameters = [_parameter("path", name, _PATH[name], required=True) for name in path]
    parameters += _query(query) if query else []
    headers = _HEADERS | (_KEY_HEADER if writes else {})
    if writes and of_a_session:
        headers |= _SEQ_HEADER
    parameters += [_parameter("header", name, text) for name, text in headers.items()]
    extra: dict[str, Any] = {"parameters": parameters}
    if body is not None:
        _MODELS[body.__name__] = body
        content = {
            "schema": {"$ref": _REF.format(model=body.__name__)},
            "example": _later(body_example),
        }
        extra["requestBody"] = {"required": True, "content": {"application/json": content}}
    return extra


def answers(
    status: int,
    model: type[BaseModel],
    example: dict[str, Any],
    *problems: str,
    on_session: bool = False,
    as_of: bool = False,
    also: tuple[int, ...] = (),
) -> dict[int | str, dict[str, Any]]:
    """What a route answers, as `responses`: a good answer, and kinds of problems."""
    good: dict[str, Any] = {
        "model": model,
        "description": "Done.",
        "content": {"application/json": {"example": _later(example)}},
    }
    if on_session:
        good["headers"] = SESSION_HEADERS | (AS_OF_HEADERS if as_of else {})
    return {code: dict(good) for code in (status, *also)} | refusals(*problems)


def refusals(*problems: str) -> dict[int | str, dict[str, Any]]:
    """What a route answers when it does not do what was asked: kinds of problems, and those that
    every route has."""
    by_status: dict[int, list[str]] = {}
    for code in ("bad-request", "unauthenticated", "forbidden", "invalid", *problems):
        by_status.setdefault(KINDS[code].status, []).append(code)
    found: dict[int | str, dict[str, Any]] = {}
    for number, codes in sorted(by_status.items()):
        found[number] = {
            "description": "; ".join(f"{KINDS[code].title} (`{code}`)" for code in codes),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": _REF.format(model=ProblemDocument.__name__)},
                    "example": _problem(codes[0]),
                }
            },
        }
    return found


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (ProblemDocument, *_MODELS.values()):
            schema = model.model_json_schema(ref_template=_REF)
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        document["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        }
        document["security"] = [{"token": []}, {}]
        app.openapi_schema = cast(dict[str, Any], _with_examples(document))
    return app.openapi_schema


def _later(example: Any) -> str:
    name = f"example {len(_EXAMPLES)}"
    _EXAMPLES[name] = example
    return name


def _with_examples(value: Any) -> Any:
    if isinstance(value, dict):
        members = cast(dict[str, Any], value)
        return {name: _with_examples(member) for name, member in members.items()}
    if isinstance(value, list):
        return [_with_examples(item) for item in cast(list[Any], value)]
    return _EXAMPLES.get(value, value) if isinstance(value, str) else value


def _query(kind: type[Params]) -> list[dict[str, Any]]:
    schema = kind.model_json_schema(ref_template=_REF)
    assert "$defs" not in schema, "query parameters are plain values"
    found: list[dict[str, Any]] = []
    for name, field in schema.get("properties", {}).items():
        field = dict(field)
        parameter = _parameter("query", name, field.pop("description", ""))
        field.pop("title", None)
        found.append({**parameter, "schema": field})
    return found


def _parameter(
    place: str, name: str, description: str, *, required: bool = False
) -> dict[str, Any]:
    return {
        "in": place,
        "name": name,
        "required": required,
        "description": description,
        "schema": _SCHEMAS.get(name, {"type": "string"}),
    }


def _problem(code: str) -> dict[str, Any]:
    kind = KINDS[code]
    example = {"type": f"urn:turnlog:problem:{code}", "title": kind.title, "status": kind.status}
    return {**examples.PROBLEM, **example, "detail": kind.title}
