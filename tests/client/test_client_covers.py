"""The client and the API's own document: every operation has a call, every parameter an argument,
every field a type."""

import inspect
import re
from types import GenericAlias
from typing import Any, NamedTuple, get_args, get_type_hints

import httpx
import pytest
from client_calls import CALLS

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_client import AsyncClient, Client, results
from turnlog_client.calls import call, download, pages

DOCUMENT: dict[str, Any] = create_app(
    ApiSettings(redis_url="redis://localhost", postgres_url="postgresql://localhost")
).openapi()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = sorted(
    (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
)
OTHERWISE = {"cursor"}
"""What pages send by themselves."""


class Sent(NamedTuple):
    """What the client has sent to one operation, in all calls."""

    query: set[str]
    headers: set[str]
    body: set[str]


@pytest.fixture(scope="module")
def sent() -> dict[tuple[str, str], Sent]:
    """By operation."""
    found: dict[tuple[str, str], Sent] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        operation = _operation(request.method, request.url.path)
        place = found.setdefault(operation, Sent(set(), set(), set()))
        place.query.update(request.url.params)
        place.headers.update(name.lower() for name in request.headers)
        if request.content:
            place.body.update(httpx.Response(200, content=request.content).json())
        return httpx.Response(200, json={"items": [], "next_cursor": None, "seq": 1})

    transport = httpx.MockTransport(answer)
    with Client("http://api.test", transport=transport, as_user="u", tenant="t") as client:
        for make in CALLS:
            make(client)
    return found


def _operation(method: str, path: str) -> tuple[str, str]:
    fitting = [
        (its_method, template)
        for its_method, template in OPERATIONS
        if its_method == method and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path)
    ]
    assert len(fitting) == 1, f"{method} {path} is no operation of the document"
    return fitting[0]


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_every_operation_has_a_call_for_all_that_it_takes(
    sent: dict[tuple[str, str], Sent], operation: tuple[str, str]
) -> None:
    assert operation in sent, "the client has no method for this"
    method, path = operation
    described = DOCUMENT["paths"][path][method.lower()]
    parameters = described.get("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "query":
            assert parameter["name"] in sent[operation].query | OTHERWISE
        if parameter["in"] == "header":
            assert parameter["name"].lower() in sent[operation].headers
    known = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
    assert sent[operation].query <= known
    content = described.get("requestBody", {}).get("content", {})
    if content:
        reference = content["application/json"]["schema"]["$ref"]
        fields = set(SCHEMAS[reference.rpartition("/")[2]]["properties"])
        assert sent[operation].body == fields


def test_every_method_is_called() -> None:
    methods = {
        name
        for name in dir(Client)
        if isinstance(inspect.getattr_static(Client, name), call | pages | download)
    }
    source = inspect.getsource(inspect.getmodule(CALLS[0]))  # type: ignore[arg-type]
    assert methods == set(re.findall(r"\bc\.(\w+)\(", source))


def test_both_clients_have_the_same_methods() -> None:
    public = [{name for name in dir(kind) if name[0] != "_"} for kind in (Client, AsyncClient)]
    assert public[0] == public[1]


NO_OBJECTS = {"Answer", "TurnStatus"}
RESULTS = {name: getattr(results, name) for name in results.__all__ if name not in NO_OBJECTS}


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_every_field_of_an_answer_has_a_type(name: str) -> None:
    hints = get_type_hints(RESULTS[name])
    assert set(hints) == set(SCHEMAS[name]["properties"])


def test_every_answer_has_a_type() -> None:
    """Whatever a good answer consists of, down to what its lists hold."""
    needed: set[str] = set()
    for method, path in OPERATIONS:
        answers = DOCUMENT["paths"][path][method.lower()]["responses"]
        for status, answer in answers.items():
            if status.startswith("2"):
                _references(answer, needed)
    entry = {name for name in needed if not name.endswith("Page")}
    shown_by_fields = {"Actor", "Artifact", "Usage", "JsonValue"}
    assert entry - shown_by_fields <= RESULTS.keys()


def _references(value: Any, found: set[str]) -> None:
    if isinstance(value, list | dict):
        values: list[Any] = list(value.values()) if isinstance(value, dict) else value
        if isinstance(value, dict) and "$ref" in value:
            name = value["$ref"].rpartition("/")[2]
            if name not in found:
                found.add(name)
                _references(SCHEMAS[name], found)
        for each in values:
            _references(each, found)


def test_the_states_of_jobs_are_those_of_the_document() -> None:
    for name in ("Export", "Rebuild"):
        hint: GenericAlias = get_type_hints(RESULTS[name])["state"]
        assert list(get_args(hint)) == SCHEMAS[name]["properties"]["state"]["enum"]
