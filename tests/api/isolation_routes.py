"""Every route of the API, with a request that succeeds for whom it is allowed. A route that is not
listed here fails test_isolation_routes.py."""

from enum import Enum
from typing import Any, NamedTuple

import httpx

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings

HELLO = {"role": "user", "content": "Hello"}


class For(Enum):
    """Whom a route serves."""

    EVERYBODY = "everybody, without a token"
    CALLERS = "every caller, with what is theirs"
    READERS = "those who may read the session"
    OWNERS = "the owner of the session; its other readers are told so"
    BEGINNERS = "every caller: in a tenant that has no such session one begins"
    ASKERS = "every caller, with what they have asked for: see test_export_jobs.py"
    OPERATORS = "the scope admin"


class Example(NamedTuple):
    """A request on the session `mine` of the user me, with the turn `t` and the job 1."""

    serves: For
    body: dict[str, Any] | None = None
    params: dict[str, str] | None = None


PATH = {
    "session_id": "mine",
    "turn_id": "t",
    "user_id": "nobody",
    "rebuild_id": "1",
    "export_id": "e",
    "id": "1",
}
"""The values of path parameters."""

EXAMPLES: dict[tuple[str, str], Example] = {
    ("GET", "/healthz"): Example(For.EVERYBODY),
    ("GET", "/readyz"): Example(For.EVERYBODY),
    ("GET", "/v1/status"): Example(For.OPERATORS),
    ("GET", "/metrics"): Example(For.OPERATORS),
    ("DELETE", "/v1/users/{user_id}"): Example(For.OPERATORS),
    ("POST", "/v1/rebuilds"): Example(For.OPERATORS, {}),
    ("GET", "/v1/rebuilds"): Example(For.OPERATORS),
    ("GET", "/v1/rebuilds/{rebuild_id}"): Example(For.OPERATORS),
    ("DELETE", "/v1/rebuilds/{rebuild_id}"): Example(For.OPERATORS),
    ("GET", "/v1/projects"): Example(For.CALLERS),
    ("GET", "/v1/exports"): Example(For.CALLERS),
    ("POST", "/v1/exports"): Example(For.ASKERS, {"format": "csv"}),
    ("GET", "/v1/exports/{export_id}"): Example(For.ASKERS),
    ("DELETE", "/v1/exports/{export_id}"): Example(For.ASKERS),
    ("GET", "/v1/exports/{export_id}/file"): Example(For.ASKERS),
    ("GET", "/v1/sessions/{session_id}/export"): Example(For.READERS, params={"format": "json"}),
    ("GET", "/v1/stats"): Example(For.CALLERS),
    ("GET", "/v1/search"): Example(For.CALLERS, params={"q": "hello"}),
    ("GET", "/v1/sessions"): Example(For.CALLERS),
    ("POST", "/v1/sessions"): Example(For.BEGINNERS, {"session_id": "mine"}),
    ("GET", "/v1/sessions/{session_id}"): Example(For.READERS),
    ("PATCH", "/v1/sessions/{session_id}"): Example(For.OWNERS, {"title": "x"}),
    ("DELETE", "/v1/sessions/{session_id}"): Example(For.OWNERS),
    ("POST", "/v1/sessions/{session_id}/restore"): Example(For.OWNERS),
    ("POST", "/v1/sessions/{session_id}/clear"): Example(For.OWNERS),
    ("GET", "/v1/sessions/{session_id}/events"): Example(For.READERS),
    ("GET", "/v1/sessions/{session_id}/titles"): Example(For.READERS),
    ("GET", "/v1/sessions/{session_id}/branches"): Example(For.READERS),
    ("GET", "/v1/sessions/{session_id}/turns/{turn_id}/revisions"): Example(For.READERS),
    ("GET", "/v1/sessions/{session_id}/turns"): Example(For.READERS),
    ("POST", "/v1/sessions/{session_id}/turns"): Example(For.BEGINNERS, HELLO),
    ("PATCH", "/v1/sessions/{session_id}/turns/{turn_id}"): Example(For.OWNERS, {"content": "x"}),
    ("DELETE", "/v1/sessions/{session_id}/turns/{turn_id}"): Example(For.OWNERS),
    ("POST", "/v1/sessions/{session_id}/turns/{turn_id}/annotations"): Example(
        For.OWNERS, {"kind": "rating", "value": 1}
    ),
}


def documented() -> list[tuple[str, str]]:
    """Method and path of every route in the OpenAPI document."""
    settings = ApiSettings(redis_url="redis://localhost", postgres_url="postgresql://localhost")
    paths = create_app(settings).openapi()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def serving_only(*kinds: For) -> list[tuple[str, str]]:
    """The documented routes of some kinds."""
    return [
        route for route in documented() if route in EXAMPLES and EXAMPLES[route].serves in kinds
    ]


async def call(
    api: httpx.AsyncClient,
    route: tuple[str, str],
    headers: dict[str, str] | None = None,
    **params: str,
) -> httpx.Response:
    """The example's request."""
    method, path = route
    example = EXAMPLES[route]
    query = {**(example.params or {}), **params}
    return await api.request(
        method, path.format_map(PATH), json=example.body, params=query or None, headers=headers
    )
