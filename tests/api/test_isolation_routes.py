"""Every route of the OpenAPI document, as nobody, with bad tokens, as another user, another tenant,
and as a user on the routes of services and operators."""

import base64
import json
from typing import Any

import httpx
import pytest
from isolation_routes import EXAMPLES, HELLO, For, call, documented, serving_only
from served import Stage, Users

pytestmark = pytest.mark.integration

Route = tuple[str, str]
GUARDED = [route for route in documented() if route not in serving_only(For.EVERYBODY)]
ON_A_SESSION = [route for route in documented() if "{session_id}" in route[1]]


@pytest.fixture
async def mine(guarded: httpx.AsyncClient, stage: Stage, users: Users) -> httpx.AsyncClient:
    """The API, with a session of the user me."""
    me = users.headers("me")
    begun = await guarded.post("/v1/sessions", json={"session_id": "mine"}, headers=me)
    assert begun.status_code == 201
    turn = {**HELLO, "turn_id": "t"}
    assert (await guarded.post("/v1/sessions/mine/turns", json=turn, headers=me)).is_success
    stage.project()
    return guarded


def test_every_route_has_an_example() -> None:
    assert set(documented()) == set(EXAMPLES), "routes and tests/api/isolation_routes.py differ"


Outcome = tuple[int, str]
"""Status and kind of problem."""


async def outcomes(
    api: httpx.AsyncClient,
    routes: list[Route],
    headers: dict[str, str] | None = None,
    **params: str,
) -> dict[Route, Outcome]:
    """How each route answers."""
    found: dict[Route, Outcome] = {}
    for route in routes:
        answer = await call(api, route, headers, **params)
        document: dict[str, Any] = answer.json() if answer.status_code >= 400 else {}
        found[route] = (
            answer.status_code,
            document.get("type", "").removeprefix("urn:turnlog:problem:"),
        )
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
    return found


def all_of(routes: list[Route], *outcome: Any) -> dict[Route, Outcome]:
    """Each of the routes with the same outcome."""
    return dict.fromkeys(routes, outcome)


async def test_open_routes_need_no_token(guarded: httpx.AsyncClient) -> None:
    routes = serving_only(For.EVERYBODY)
    assert await outcomes(guarded, routes) == all_of(routes, 200, "")


async def test_nobody_is_refused(guarded: httpx.AsyncClient, users: Users) -> None:
    good = users.token("me")
    header, claims, signature = good.split(".")
    forged = base64.urlsafe_b64encode(json.dumps({"tenant": "default", "sub": "x"}).encode())
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    for authorization in (
        None,
        "",
        "Bearer",
        "Bearer x",
        f"Basic {good}",
        good,
        f"Bearer {header}.{forged.decode().rstrip('=')}.{signature}",
        f"Bearer {none}.{claims}.",
        "Bearer " + users.token("me", exp=1),
        "Bearer " + users.token("me", tenant="a b"),
        "Bearer " + users.token("me", nbf=2**33),
        "Bearer " + users.token("\0"),
        "Bearer " + users.token(""),
        "Bearer " + users.token("me", tenant=None),  # pyright: ignore[reportArgumentType]
    ):
        headers = {} if authorization is None else {"Authorization": authorization}
        refused = all_of(GUARDED, 401, "unauthenticated")
        assert await outcomes(guarded, GUARDED, headers) == refused, authorization


async def test_another_user_finds_nothing(
    mine: httpx.AsyncClient, stage: Stage, users: Users
) -> None:
    nothing = all_of(ON_A_SESSION, 404, "not-found")
    for headers in (
        users.headers("other"),
        users.headers("other", scope="user"),
        users.headers("ME"),
        users.headers("service", scope="service") | {"Turnlog-User": "other"},
    ):
        assert await outcomes(mine, ON_A_SESSION, headers) == nothing
    reads = [route for route in ON_A_SESSION if route[0] == "GET"]
    for params in ({"consistency": "strong"}, {"min_seq": "2"}):
        for route, outcome in (
            await outcomes(mine, reads, users.headers("other"), **params)
        ).items():
            assert outcome in ((404, "not-found"), (422, "invalid")), route
    await untouched(mine, stage, users)


async def test_another_tenant_finds_nothing(
    mine: httpx.AsyncClient, stage: Stage, users: Users
) -> None:
    for number, route in enumerate(ON_A_SESSION):
        tenant = f"elsewhere-{number}"
        begins = EXAMPLES[route].serves is For.BEGINNERS
        expected = (201, "") if begins else (404, "not-found")
        for headers in (
            users.headers("me", tenant=tenant),
            users.headers("admin", tenant=tenant + "-too", scope="admin service"),
        ):
            assert await outcomes(mine, [route], headers) == {route: expected}
    await untouched(mine, stage, users)


async def untouched(api: httpx.AsyncClient, stage: Stage, users: Users) -> None:
    """Nobody else has written into the session."""
    stage.project()
    session = (await api.get("/v1/sessions/mine", headers=users.headers("me"))).json()
    assert session["seq"] == 2


async def test_lists_show_strangers_nothing(mine: httpx.AsyncClient, users: Users) -> None:
    assert "mine" in (await mine.get("/v1/sessions", headers=users.headers("me"))).text
    for headers in (
        users.headers("other"),
        users.headers("other") | {"Turnlog-Tenant": "elsewhere"},
        users.headers("me", tenant="elsewhere"),
        users.headers("service", tenant="elsewhere", scope="service admin"),
    ):
        for route in serving_only(For.CALLERS):
            answer = await call(mine, route, headers)
            assert answer.status_code == 200, route
            assert "mine" not in answer.text, route
            assert answer.json().get("items", []) == [], route


async def test_a_shared_session_is_read_but_not_written_by_others(
    mine: httpx.AsyncClient, stage: Stage, users: Users
) -> None:
    shown = {"visibility": "tenant"}
    await mine.patch("/v1/sessions/mine", json=shown, headers=users.headers("me"))
    stage.project()
    reads = serving_only(For.READERS)
    writes = [route for route in ON_A_SESSION if route not in reads]
    other = users.headers("other")
    assert await outcomes(mine, reads, other) == all_of(reads, 200, "")
    assert await outcomes(mine, writes, other) == all_of(writes, 403, "forbidden")
    elsewhere = users.headers("other", tenant="elsewhere")
    assert await outcomes(mine, reads, elsewhere) == all_of(reads, 404, "not-found")


async def test_operation_needs_the_scope_admin(mine: httpx.AsyncClient, users: Users) -> None:
    routes = serving_only(For.OPERATORS)
    for scope in ("", "user", "service", "administrator", "Admin"):
        headers = users.headers("me", scope=scope)
        assert await outcomes(mine, routes, headers) == all_of(routes, 403, "forbidden"), scope
    allowed = await outcomes(mine, routes, users.headers("me", scope="service admin"))
    assert not {route for route, outcome in allowed.items() if outcome[0] in (401, 403)}


async def test_a_user_acts_for_nobody_else(mine: httpx.AsyncClient, users: Users) -> None:
    headers = users.headers("other") | {"Turnlog-User": "me"}
    assert await outcomes(mine, GUARDED, headers) == all_of(GUARDED, 403, "forbidden")
