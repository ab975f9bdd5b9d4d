"""Who may do what; every route as everybody: see test_isolation_routes.py."""

from typing import Any

import httpx
import pytest
from isolation_routes import HELLO, call, documented
from served import Stage, Users, problem, serving

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_projector.settings import BadSettings, load

pytestmark = pytest.mark.integration

ON_A_SESSION = [route for route in documented() if "{session_id}" in route[1]]


@pytest.fixture
async def mine(guarded: httpx.AsyncClient, stage: Stage, users: Users) -> httpx.AsyncClient:
    """The API, with a session of the user me."""
    me = users.headers("me")
    begun = await guarded.post("/v1/sessions", json={"session_id": "mine"}, headers=me)
    assert begun.status_code == 201
    body = {**HELLO, "turn_id": "t"}
    turn = await guarded.post("/v1/sessions/mine/turns", json=body, headers=me)
    assert turn.status_code == 201
    stage.project()
    return guarded


async def test_the_same_session_id_in_another_tenant_is_another_session(
    mine: httpx.AsyncClient, stage: Stage, users: Users
) -> None:
    elsewhere = users.headers("me", tenant="elsewhere")
    turn = await mine.post("/v1/sessions/mine/turns", json=HELLO, headers=elsewhere)
    assert turn.json()["seq"] == 2
    stage.project()
    for headers in (elsewhere, users.headers("me")):
        assert (
            len((await mine.get("/v1/sessions/mine/turns", headers=headers)).json()["items"]) == 1
        )
        assert len((await mine.get("/v1/sessions", headers=headers)).json()["items"]) == 1


async def test_a_session_that_is_not_projected_yet_is_guarded_too(
    guarded: httpx.AsyncClient, users: Users
) -> None:
    await guarded.post("/v1/sessions", json={"session_id": "mine"}, headers=users.headers("me"))
    strong = {"consistency": "strong"}
    url = "/v1/sessions/mine"
    assert (await guarded.get(url, params=strong, headers=users.headers("me"))).status_code == 200
    problem(await guarded.get(url, params=strong, headers=users.headers("other")), 404, "not-found")
    turn = await guarded.post(f"{url}/turns", json=HELLO, headers=users.headers("other"))
    problem(turn, 404, "not-found")


async def test_lists_hold_the_callers_own_sessions(mine: httpx.AsyncClient, users: Users) -> None:
    for headers, expected in (
        (users.headers("me"), 1),
        (users.headers("other"), 0),
        (users.headers("service", scope="service"), 1),
        (users.headers("service", scope="service") | {"Turnlog-User": "other"}, 0),
        (users.headers("service", scope="service") | {"Turnlog-User": "me"}, 1),
        (users.headers("service", scope="service", tenant="elsewhere"), 0),
    ):
        for params in ({}, {"user_id": "me"}):
            found = await mine.get("/v1/sessions", params=params, headers=headers)
            assert len(found.json()["items"]) == expected


async def test_a_shared_session_is_read_but_not_written_by_others(
    mine: httpx.AsyncClient, stage: Stage, users: Users
) -> None:
    patch = {"visibility": "tenant"}
    await mine.patch("/v1/sessions/mine", json=patch, headers=users.headers("me"))
    strong = {"consistency": "strong"}
    other = users.headers("other")
    assert (await mine.get("/v1/sessions/mine", params=strong, headers=other)).status_code == 200
    stage.project()
    for params in ({}, strong, {"min_seq": "3"}):
        for path in ("", "/turns"):
            answer = await mine.get(f"/v1/sessions/mine{path}", params=params, headers=other)
            assert answer.status_code == 200
    for params in ({}, {"user_id": "me"}):
        listed = await mine.get("/v1/sessions", params=params, headers=other)
        assert [item["session_id"] for item in listed.json()["items"]] == ["mine"]
    for route in ON_A_SESSION:
        if route[0] != "GET":
            problem(await call(mine, route, other), 403, "forbidden")
    elsewhere = users.headers("other", tenant="elsewhere")
    problem(await mine.get("/v1/sessions/mine", headers=elsewhere), 404, "not-found")
    patch = {"visibility": "private"}
    await mine.patch("/v1/sessions/mine", json=patch, headers=users.headers("me"))
    hidden = await mine.get("/v1/sessions/mine", params=strong, headers=other)
    problem(hidden, 404, "not-found")


async def test_a_plain_user_acts_for_nobody_else(guarded: httpx.AsyncClient, users: Users) -> None:
    me = users.headers("me")
    problem(
        await guarded.get("/v1/sessions", headers=me | {"Turnlog-User": "you"}), 403, "forbidden"
    )
    same = await guarded.get("/v1/sessions", headers=me | {"Turnlog-User": "me"})
    assert same.status_code == 200
    body = {"user_id": "you"}
    problem(await guarded.post("/v1/sessions", json=body, headers=me), 403, "forbidden")
    turn = {**HELLO, "actor": {"kind": "agent", "id": "boss"}}
    url = "/v1/sessions/mine/turns"
    problem(await guarded.post(url, json=turn, headers=me), 403, "forbidden")
    tenant = await guarded.get("/v1/sessions", headers=me | {"Turnlog-Tenant": "elsewhere"})
    assert tenant.status_code == 200


def naming(headers: dict[str, str], user: bytes) -> httpx.Headers:
    """Headers that name a user in any bytes."""
    plain = [(name.encode(), value.encode()) for name, value in headers.items()]
    return httpx.Headers([*plain, (b"Turnlog-User", user)])


async def test_a_service_acts_for_a_user(
    guarded: httpx.AsyncClient, stage: Stage, users: Users
) -> None:
    service = users.headers("bot", scope="service")
    for headers, body in (
        (service | {"Turnlog-User": "me"}, {"session_id": "a"}),
        (service, {"session_id": "b", "user_id": "me"}),
        (naming(service, "zoë".encode()), {"session_id": "c"}),
    ):
        answer = await guarded.post("/v1/sessions", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
    both = {"session_id": "d", "user_id": "you"}
    refused = await guarded.post(
        "/v1/sessions", json=both, headers=service | {"Turnlog-User": "me"}
    )
    problem(refused, 403, "forbidden")
    actor = {"kind": "agent", "id": "ann"}
    await guarded.post("/v1/sessions/a/turns", json={**HELLO, "actor": actor}, headers=service)
    stage.project()
    owners = [
        (await guarded.get(f"/v1/sessions/{id_}", headers=service)).json()["user_id"]
        for id_ in "abc"
    ]
    assert owners == ["me", "me", "zoë"]
    [item] = (await guarded.get("/v1/sessions/a/turns", headers=service)).json()["items"]
    assert item["actor"] == actor
    bad = await guarded.get("/v1/sessions", headers=naming(service, b"\xff"))
    problem(bad, 400, "bad-request")


async def test_the_audience_is_checked(stage: Stage, users: Users) -> None:
    settings: dict[str, Any] = {
        "auth": "jwt",
        "jwt_secret": users.secret,
        "jwt_audience": "turnlog",
    }
    async with serving(stage, **settings) as api:
        for aud, status in ((None, 401), ("other", 401), ("turnlog", 200), (["x", "turnlog"], 200)):
            headers = users.headers("me", **({} if aud is None else {"aud": aud}))
            assert (await api.get("/v1/sessions", headers=headers)).status_code == status


async def test_a_known_token_expires_too(
    guarded: httpx.AsyncClient, users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = users.headers("me")
    assert (await guarded.get("/v1/sessions", headers=headers)).status_code == 200
    monkeypatch.setattr("turnlog_api.auth.time.time", lambda: 2.0**33)
    problem(await guarded.get("/v1/sessions", headers=headers), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Host": "192.168.0.1:8000"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://127.0.0.1:3000"}, 200),
        ({"Origin": "http://localhost:8000"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example:127.0.0.1"}, 403),
    ],
)
async def test_without_auth_only_this_machine_is_answered(
    api: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    assert (await api.get("/v1/sessions", headers=headers)).status_code == status
    assert (await api.get("/healthz", headers=headers)).status_code == status


async def test_without_auth_headers_name_tenant_and_user(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    acme = {"Turnlog-Tenant": "acme", "Turnlog-User": "u"}
    await api.post("/v1/sessions", json={"session_id": "s"}, headers=acme)
    stage.project()
    assert (await api.get("/v1/sessions/s", headers=acme)).json()["user_id"] == "u"
    problem(await api.get("/v1/sessions/s"), 404, "not-found")
    assert (await api.get("/v1/sessions/s", headers={"Turnlog-Tenant": "acme"})).status_code == 200
    odd = await api.get("/v1/sessions", headers={"Turnlog-Tenant": "a b"})
    problem(odd, 400, "bad-request")


async def test_browsers_of_named_origins_may_call(stage: Stage, users: Users) -> None:
    settings: dict[str, Any] = {
        "auth": "jwt",
        "jwt_secret": users.secret,
        "cors_origins": "https://a.example",
    }
    async with serving(stage, **settings) as api:
        preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
        asked = await api.options("/v1/sessions", headers=preflight)
        assert asked.headers["access-control-allow-origin"] == "https://a.example"
        other = await api.get("/healthz", headers={"Origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"host": "0.0.0.0"}, "TURNLOG_AUTH"),
        ({"host": "::"}, "TURNLOG_AUTH"),
        ({"host": "example.org"}, "TURNLOG_AUTH"),
        ({"auth": "jwt"}, "TURNLOG_JWT_SECRET"),
        ({"auth": "jwt", "jwt_secret": "x" * 31}, "TURNLOG_JWT_SECRET"),
        ({"auth": "none"}, "TURNLOG_AUTH"),
        ({"redis_url": ""}, "TURNLOG_REDIS_URL"),
        ({"redis_url": "redis://:xxx/xxx@h:1"}, "TURNLOG_REDIS_URL"),
        ({"redis_url": "redis://:xxx@h?foo=1"}, "TURNLOG_REDIS_URL"),
        ({"postgres_url": ""}, "TURNLOG_POSTGRES_URL"),
        ({"cors_origins": "*"}, "TURNLOG_CORS_ORIGINS"),
        ({"port": 70000}, "TURNLOG_PORT"),
    ],
)
def test_unsafe_settings_stop_the_start(settings: dict[str, Any], setting: str) -> None:
    servers = {"redis_url": "redis://localhost", "postgres_url": "postgresql://localhost"}
    with pytest.raises(BadSettings) as refused:
        create_app(load(ApiSettings, **servers | settings))
    assert str(refused.value).startswith(f"{setting}: ")
    assert "\n" not in str(refused.value)
    assert "xxx" not in str(refused.value)
