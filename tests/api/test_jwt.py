"""Tokens: which are taken, and what attackers try. Without servers: the path asked for is none."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
from jwks_server import Issuer, Key, forged, issuing, some_claims
from served import problem
from servers import wait_until_async

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_projector.settings import BadSettings, load

SERVERS = {"redis_url": "redis://127.0.0.1:1", "postgres_url": "postgresql://127.0.0.1:1/none"}
SECRET = "a secret of at least thirty-two bytes"


@asynccontextmanager
async def guarded(**settings: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """The API without Redis and Postgres: behind the gate every address it does not know is 404."""
    app = create_app(load(ApiSettings, **SERVERS, auth="jwt", **settings))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield client


async def ask(api: httpx.AsyncClient, token: str | bytes) -> httpx.Response:
    """404: the token was taken."""
    bearer = b"Bearer " + (token if isinstance(token, bytes) else token.encode())
    return await api.get("/nothing", headers={b"Authorization": bearer})


async def taken(api: httpx.AsyncClient, token: str) -> bool:
    answer = await ask(api, token)
    assert answer.status_code in (401, 404), answer.text
    return answer.status_code == 404


async def refused(api: httpx.AsyncClient, token: str) -> bool:
    return not await taken(api, token)


async def refusal(api: httpx.AsyncClient, token: str | bytes) -> str:
    """Why the token is refused."""
    return problem(await ask(api, token), 401, "unauthenticated")["detail"]


def signed(**claims: Any) -> str:
    return jwt.encode(some_claims(**claims), SECRET, algorithm="HS256")


@pytest.fixture(scope="module")
def key() -> Key:
    """An RSA key of the issuer."""
    return Key("k1")


@pytest.fixture
def issuer(key: Key) -> Iterator[Issuer]:
    with issuing() as made:
        made.publish(key)
        yield made


# One secret


async def test_times_have_a_leeway() -> None:
    now = int(time.time())
    async with guarded(jwt_secret=SECRET) as api:
        for claims, good in (
            ({"exp": now - 20}, True),
            ({"exp": now - 40}, False),
            ({"nbf": now + 20}, True),
            ({"nbf": now + 60}, False),
            ({"iat": now + 20}, True),
            ({"iat": now + 60}, False),
        ):
            assert await taken(api, signed(**claims)) is good, claims
            assert await taken(api, signed(**claims)) is good, "the second time"
    async with guarded(jwt_secret=SECRET, jwt_leeway_seconds=0) as api:
        assert not await taken(api, signed(exp=now - 1))


async def test_a_token_must_end_and_name_somebody() -> None:
    async with guarded(jwt_secret=SECRET) as api:
        assert await taken(api, signed())
        for left_out in ("exp", "sub", "tenant"):
            assert f"`{left_out}`" in await refusal(api, signed(**{left_out: None}))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": "soon"},
        {"exp": 1e400},
        {"exp": [1]},
        {"nbf": {}},
        {"sub": 7},
        {"sub": ["me"]},
        {"tenant": 7},
        {"tenant": "../default"},
        {"tenant": "default\n"},
        {"sub": "x" * 257},
        {"scope": 7},
        {"scope": {"admin": 1}},
        {"jti": 7},
    ],
)
async def test_claims_that_are_no_claims(claims: dict[str, Any]) -> None:
    async with guarded(jwt_secret=SECRET) as api:
        token = forged({"alg": "HS256", "typ": "JWT"}, some_claims(**claims), SECRET.encode())
        await refusal(api, token)


async def test_scopes_are_text_or_a_list() -> None:
    async with guarded(jwt_secret=SECRET) as api:
        for scope in ("service admin", ["service", "admin"], ["service", 7]):
            headers = {"Authorization": f"Bearer {signed(scope=scope)}", "Turnlog-User": "you"}
            assert (await api.get("/nothing", headers=headers)).status_code == 404
        for scope in ("services", "user", [], [["service"]], "service,admin"):
            headers = {"Authorization": f"Bearer {signed(scope=scope)}", "Turnlog-User": "you"}
            assert (await api.get("/nothing", headers=headers)).status_code == 403


async def test_only_hs256_is_taken_by_a_secret(key: Key) -> None:
    claims = some_claims()
    async with guarded(jwt_secret=SECRET) as api:
        for algorithm in ("HS384", "HS512"):
            with pytest.warns(jwt.InsecureKeyLengthWarning):
                token = jwt.encode(claims, SECRET, algorithm=algorithm)
            await refusal(api, token)
        await refusal(api, key.token())
        for none in ("none", "None", "NONE", "nOnE", "", None, ["HS256"]):
            for secret in (b"", SECRET.encode()):
                await refusal(api, forged({"alg": none, "typ": "JWT"}, claims, secret))


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b".",
        b"..",
        b"...",
        b"a.b.c",
        b"\xff.\xff.\xff",
        b"e30.e30.e30",
        b"a" * 7000,
        b"." * 7000,
    ],
)
async def test_what_is_no_token(token: bytes) -> None:
    async with guarded(jwt_secret=SECRET) as api:
        await refusal(api, token)


async def test_a_huge_token_is_refused_unread() -> None:
    async with guarded(jwt_secret=SECRET) as api:
        for size in (10_000, 1_000_000):
            assert "too large" in await refusal(api, signed(more="x" * size))


async def test_an_unknown_extension_that_must_be_understood_is_not() -> None:
    async with guarded(jwt_secret=SECRET) as api:
        header = {"alg": "HS256", "typ": "JWT", "crit": ["own"], "own": True}
        await refusal(api, forged(header, some_claims(), SECRET.encode()))


# The keys of an issuer


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_each_kind_of_key_verifies_its_tokens(issuer: Issuer, algorithm: str) -> None:
    signer, other = Key("a", algorithm), Key("a", algorithm)
    issuer.publish(Key("b", "ES256"), signer)
    async with guarded(jwks_url=issuer.url) as api:
        assert await taken(api, signer.token())
        assert not await taken(api, other.token())
        assert not await taken(api, signer.token(exp=1))
        assert not await taken(api, signer.token(headers={"kid": "b"}))
    assert issuer.asked == 1


async def test_the_audience_is_that_of_this_service(issuer: Issuer, key: Key) -> None:
    async with guarded(jwks_url=issuer.url, jwt_audience="turnlog") as api:
        assert await taken(api, key.token(aud="turnlog"))
        assert await taken(api, key.token(aud=["other", "turnlog"]))
        assert "audience" in await refusal(api, key.token(aud="other"))
        assert "`aud`" in await refusal(api, key.token())


async def test_a_public_key_is_no_secret(issuer: Issuer, key: Key) -> None:
    async with guarded(jwks_url=issuer.url) as api:
        for secret in (key.pem, key.pem.strip(), str(key.jwk["n"]).encode()):
            for named in ({"kid": "k1"}, {}):
                header = {"alg": "HS256", "typ": "JWT", **named}
                await refusal(api, forged(header, some_claims(), secret))
        await refusal(api, forged({"alg": "none", "kid": "k1"}, some_claims(), b""))
        await refusal(api, signed())


async def test_keys_that_a_token_brings_along_are_not_looked_at(issuer: Issuer, key: Key) -> None:
    mine = Key("k1")
    async with guarded(jwks_url=issuer.url) as api:
        for headers in (
            {"jwk": mine.jwk},
            {"jku": issuer.url + "?mine"},
            {"x5u": issuer.url + "?mine"},
            {"jwk": mine.jwk, "kid": "mine"},
        ):
            await refusal(api, mine.token(headers))
    assert set(issuer.paths) == {"/keys.json"}


@pytest.mark.parametrize(
    "kid",
    [
        "../../dev/null",
        "/etc/passwd",
        "http://127.0.0.1/",
        "' OR 1=1 --",
        "\0",
        "k1\0",
        "",
        "k" * 4000,
    ],
)
async def test_a_key_id_is_a_name_and_nothing_else(issuer: Issuer, kid: str) -> None:
    mine = Key(kid, "EdDSA")
    async with guarded(jwks_url=issuer.url) as api:
        await refusal(api, mine.token())
        await refusal(api, forged({"alg": "HS256", "kid": kid}, some_claims(), b"\0"))
    assert set(issuer.paths) == {"/keys.json"}


@pytest.mark.parametrize("kid", [7, None, ["k1"], {"k1": 1}])
async def test_a_key_id_is_text(issuer: Issuer, kid: Any) -> None:
    async with guarded(jwks_url=issuer.url) as api:
        await refusal(api, forged({"alg": "RS256", "kid": kid}, some_claims(), b"x"))


async def test_a_token_without_a_key_id_takes_the_only_key(issuer: Issuer) -> None:
    unnamed = Key(None, "ES256")
    issuer.publish(unnamed)
    async with guarded(jwks_url=issuer.url) as api:
        assert await taken(api, unnamed.token())
    issuer.publish(unnamed, Key("b", "ES256"))
    async with guarded(jwks_url=issuer.url) as api:
        assert not await taken(api, unnamed.token())


async def test_unusable_keys_are_passed_over(issuer: Issuer, key: Key) -> None:
    weak = Key("weak", bits=1024)
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        weak_token = weak.token()
    others = [
        weak.jwk,
        {**Key("enc").jwk, "use": "enc"},
        {**Key("512").jwk, "alg": "RS512"},
        {
            "kty": "oct",
            "kid": "oct",
            "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I",
            "alg": "HS256",
        },
        {"kty": "RSA", "kid": "broken", "n": "?", "e": 7},
        {"kty": "EC", "crv": "P-521", "kid": "p521"},
        {"kty": ["RSA"]},
        7,
        None,
    ]
    issuer.document = {"keys": [*others, key.jwk]}
    async with guarded(jwks_url=issuer.url) as api:
        assert await taken(api, key.token())
        await refusal(api, weak_token)
        secret = b"secret secret secret secret secr"
        header = {"alg": "HS256", "kid": "oct"}
        await refusal(api, forged(header, some_claims(), secret))


# Rotation, and an address that does not answer


async def test_a_new_key_is_looked_for_once_in_a_while(issuer: Issuer, key: Key) -> None:
    new = Key("k2", "ES256")
    async with guarded(jwks_url=issuer.url, jwks_refresh_seconds=0.2) as api:
        assert await taken(api, key.token())
        for _ in range(20):
            assert not await taken(api, new.token())
        assert issuer.asked <= 4
        issuer.publish(key, new)
        await wait_until_async(lambda: taken(api, new.token()), "the new key is known")
        assert await taken(api, key.token())


async def test_a_key_that_was_withdrawn_serves_no_more(issuer: Issuer, key: Key) -> None:
    """Not even tokens that were seen before."""
    new = Key("k2", "ES256")
    token = key.token()
    settings = {"jwks_refresh_seconds": 0.05, "jwks_max_age_seconds": 0.1}
    async with guarded(jwks_url=issuer.url, **settings) as api:
        assert await taken(api, token)
        issuer.publish(new)
        await wait_until_async(lambda: refused(api, token), "the old key is forgotten")
        assert await taken(api, new.token())


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (503, b"no"),
        (404, b"{}"),
        (200, b"no json"),
        (200, b"[]"),
        (200, b'{"keys": 7}'),
        (200, b'{"keys": []}'),
        (200, b" " * (2 * 1024 * 1024)),
    ],
)
async def test_known_keys_serve_while_the_address_fails(
    issuer: Issuer, key: Key, status: int, document: bytes
) -> None:
    settings = {"jwks_refresh_seconds": 0.05, "jwks_max_age_seconds": 0.05}
    async with guarded(jwks_url=issuer.url, **settings) as api:
        assert await taken(api, key.token())
        issuer.status, issuer.document = status, document
        asked = issuer.asked
        async with asyncio.timeout(10):
            while issuer.asked < asked + 3:
                assert await taken(api, key.token())
                await asyncio.sleep(0.02)
        unknown = problem(await ask(api, Key("k2", "EdDSA").token()), 503, "keys-unavailable")
        assert "again" in unknown["detail"]


async def test_without_any_key_yet_the_answer_is_to_come_again(key: Key) -> None:
    url = "http://127.0.0.1:1/keys.json"
    async with guarded(jwks_url=url, jwks_refresh_seconds=0.05) as api:
        answer = await ask(api, key.token())
        problem(answer, 503, "keys-unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert (await api.get("/healthz")).status_code == 200


async def test_an_address_that_hangs_blocks_nobody(issuer: Issuer, key: Key) -> None:
    settings = {"jwks_refresh_seconds": 0.01, "jwks_max_age_seconds": 0.01}
    async with guarded(jwks_url=issuer.url, **settings) as api:
        assert await taken(api, key.token())
        issuer.go_on.clear()
        waiting = asyncio.create_task(ask(api, Key("k2", "EdDSA").token()))
        for _ in range(50):
            assert await taken(api, key.token())
            await asyncio.sleep(0.005)
        assert not waiting.done()
        issuer.go_on.set()
        problem(await waiting, 401, "unauthenticated")


async def test_many_requests_at_the_start_ask_for_the_keys_once(issuer: Issuer, key: Key) -> None:
    async with guarded(jwks_url=issuer.url) as api:
        assert all(await asyncio.gather(*(taken(api, key.token()) for _ in range(50))))
    assert issuer.asked == 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"jwks_url": "https://issuer.example/keys", "jwt_secret": SECRET}, "set one of them"),
        ({"jwks_url": "http://issuer.example/keys"}, "https://"),
        ({"jwks_url": "file:///etc/passwd"}, "https://"),
        ({"jwks_url": "issuer.example"}, "https://"),
        ({}, "TURNLOG_JWKS_URL"),
    ],
)
def test_unsafe_settings_stop_the_start(settings: dict[str, str], says: str) -> None:
    with pytest.raises(BadSettings) as stopped:
        create_app(load(ApiSettings, **SERVERS, auth="jwt", **settings))
    assert says in str(stopped.value)
    assert SECRET not in str(stopped.value)
    assert "\n" not in str(stopped.value)
