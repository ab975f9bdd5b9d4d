"""Who calls, by both clients: tokens, their renewal, users acted for, and that no secret shows."""

import asyncio
import traceback
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from client_bench import Kind, answering, listed, made, settled
from live_api import listening
from served import Stage, Users

from turnlog_client import Forbidden, Misconfigured, NotFound, Unauthenticated

pytestmark = pytest.mark.integration

USERS = Users()
SECRET = "very-secret-token"


@pytest.fixture
def guarded(stage: Stage) -> Iterator[str]:
    """The address of an API with auth on."""
    settings: dict[str, Any] = {"auth": "jwt", "jwt_secret": USERS.secret}
    with listening(stage.redis_url, stage.postgres_url, **settings) as url:
        yield url


async def test_a_user_sees_its_own(kind: Kind, stage: Stage, guarded: str) -> None:
    me = made(kind, guarded, token=USERS.token("me"))
    other = made(kind, guarded, token=USERS.token("other"))
    await settled(me.append_turn("s", "user", "Hello"))
    stage.project()
    assert (await settled(me.session("s")))["user_id"] == "me"
    with pytest.raises(NotFound):
        await settled(other.session("s"))
    await settled(me.set_visibility("s", "tenant"))
    stage.project()
    with pytest.raises(Forbidden):
        await settled(other.append_turn("s", "user", "Hello"))
    with pytest.raises(Forbidden) as raised:
        await settled(me.status())
    assert raised.value.members == {"scope": "admin"}
    for client in (me, other):
        await settled(client.close())


async def test_a_service_acts_for_users(kind: Kind, stage: Stage, guarded: str) -> None:
    service: Any = made(kind, guarded, token=USERS.token("backend", scope="service"))
    for user in ("me", "Zoë Müller"):
        acting = service.for_user(user)
        written = await settled(acting.append_turn(f"s{len(user)}", "user", "Hello"))
        stage.project()
        [session] = await listed(acting.sessions())
        assert (session["session_id"], session["user_id"]) == (written["session_id"], user)
    assert len(await listed(service.sessions())) == 2
    named: Any = made(kind, guarded, token=USERS.token("b", scope="service"), as_user="me")
    assert len(await listed(named.sessions())) == 1
    # One that was derived ends with the other, not before.
    await settled(service.for_user("me").close())
    assert len(await listed(service.sessions())) == 2
    await settled(named.close())
    await settled(service.close())


async def test_a_token_is_asked_for_once_and_when_it_is_refused(
    kind: Kind, stage: Stage, guarded: str
) -> None:
    given: list[str] = []

    def token() -> str:
        given.append(USERS.token("me", exp=0) if not given else USERS.token("me"))
        return given[-1]

    async def token_later() -> str:
        await asyncio.sleep(0)
        return token()

    client = made(kind, guarded, token=token if kind == "sync" else token_later)
    await settled(client.append_turn("s", "user", "one"))
    assert len(given) == 2
    await settled(client.append_turn("s", "user", "two"))
    assert len(given) == 2
    await settled(client.close())


async def test_tasks_share_a_renewed_token(guarded: str) -> None:
    given: list[str] = []

    async def token() -> str:
        await asyncio.sleep(0.01)
        given.append(USERS.token("me", exp=0) if not given else USERS.token("me"))
        return given[-1]

    async with made("async", guarded, token=token) as client:  # type: ignore[union-attr]
        await asyncio.gather(*(client.append_turn("s", "user", str(n)) for n in range(10)))
    assert len(given) == 2


async def test_a_token_that_stays_bad_is_told(kind: Kind, guarded: str) -> None:
    for token in (None, USERS.token("me", exp=0), lambda: USERS.token("me", exp=0)):
        client = made(kind, guarded, token=token)
        with pytest.raises(Unauthenticated):
            await settled(client.sessions().page())
        await settled(client.close())


async def test_a_token_goes_out_and_shows_nowhere(kind: Kind) -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(401)

    client = answering(kind, answer, token=SECRET)
    words = "private words"
    with pytest.raises(Unauthenticated) as raised:
        await settled(client.search(words).page())
    assert seen == [f"Bearer {SECRET}"]
    shown = "".join(traceback.format_exception(raised.value)) + repr(client) + repr(vars(client))
    assert SECRET not in shown
    assert words not in shown
    await settled(client.close())


async def test_a_client_that_was_given_is_not_closed(kind: Kind) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"status": "ok"}))
    http: Any = (httpx.Client if kind == "sync" else httpx.AsyncClient)(transport=transport)
    client = made(kind, "http://api.test/behind/a/path/", http=http)
    assert await settled(client.health()) == {"status": "ok"}
    await settled(client.close())
    assert not http.is_closed
    await settled(http.close() if kind == "sync" else http.aclose())


async def test_a_closed_client_says_so(kind: Kind) -> None:
    client = answering(kind, lambda _: httpx.Response(200, json={}))
    await settled(client.close())
    with pytest.raises(RuntimeError, match="closed"):
        await settled(client.health())


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("api.test", {}),
        ("ftp://api.test", {}),
        ("http://", {}),
        ("http://[::1", {}),
        ("http://user:secret@api.test", {}),
        ("http://api.test?token=secret", {}),
        ("http://api.test:99999", {}),
        ("http://api.test", {"token": ""}),
        ("http://api.test", {"token": "secret\nX-Evil: 1"}),
        ("http://api.test", {"token": "secret ü"}),
        ("http://api.test", {"as_user": ""}),
        ("http://api.test", {"as_user": " u"}),
        ("http://api.test", {"as_user": "u\r\nX-Evil: 1"}),
        ("http://api.test", {"as_user": "\ud800"}),
        ("http://api.test", {"tenant": "a b"}),
        ("http://api.test", {"timeout_s": 0}),
        ("http://api.test", {"budget_s": -1}),
    ],
)
async def test_what_cannot_work_is_refused(kind: Kind, url: str, options: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as raised:
        made(kind, url, **options)
    assert "secret" not in "".join(traceback.format_exception(raised.value))


async def test_a_tenant_can_be_named_with_auth_off(kind: Kind, stage: Stage, url: str) -> None:
    client = made(kind, url, tenant="acme")
    await settled(client.append_turn("s", "user", "Hello"))
    stage.project()
    assert len(await listed(client.sessions())) == 1
    default = made(kind, url)
    assert await listed(default.sessions()) == []
    await settled(client.close())
    await settled(default.close())
