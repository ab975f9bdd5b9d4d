"""A server that is attacked, and what no attack may bring about."""

import json
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import redis
from isolation_routes import HELLO
from live_api import listening, projecting
from served import Users
from servers import SharedServers, wait_until

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_projector.init import initialise

SECRET = "the secret plan of the other tenant"
TELLING = (
    *("syntax error", "psycopg", "traceback", "line 1", "relation ", "pg_", "select ", "turnlog."),
    *("wrongtype", "noscript", "evalsha", "user_script", "site-packages", "/usr/", "root:"),
)
"""Words of what stands behind the API."""

Route = tuple[str, str]


def document() -> dict[str, Any]:
    settings = ApiSettings(redis_url="redis://localhost", postgres_url="postgresql://localhost")
    return create_app(settings).openapi()


DOCUMENT = document()


def parameters(route: Route, place: str) -> list[str]:
    """The names of what a route takes in a place."""
    method, path = route
    found = DOCUMENT["paths"][path][method.lower()].get("parameters", [])
    return [each["name"] for each in found if each["in"] == place]


def fields(route: Route) -> list[str]:
    """The names of the fields of a route's body."""
    method, path = route
    body = DOCUMENT["paths"][path][method.lower()].get("requestBody")
    if body is None:
        return []
    model = body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    return list(DOCUMENT["components"]["schemas"][model]["properties"])


class Attacked:
    """A server with a session of the attacker and one of another tenant."""

    def __init__(self, api: httpx.Client, postgres_url: str, users: Users) -> None:
        self.postgres_url = postgres_url
        self.address = (api.base_url.host, api.base_url.port)
        self.me = users.headers("me", exp=2**33)
        self.victim = users.headers("me", tenant="other", exp=2**33)
        self.api = api
        for headers, text in ((self.me, "mine"), (self.victim, SECRET)):
            turn = {**HELLO, "content": text, "turn_id": "t"}
            self.api.post("/v1/sessions/mine/turns", json=turn, headers=headers)
        mine, theirs = (self.turns(headers) for headers in (self.me, self.victim))
        wait_until(lambda: mine().is_success and theirs().is_success, "both are projected")
        self.before = self.stored()

    def turns(self, headers: dict[str, str]) -> Callable[[], httpx.Response]:
        return lambda: self.api.get("/v1/sessions/mine/turns", headers=headers)

    def stored(self) -> list[Any]:
        """What the other tenant has."""
        with psycopg.connect(self.postgres_url) as connection:
            rows = connection.execute(
                "SELECT session_id, seq, event_id, hash FROM turnlog.archive WHERE tenant = 'other'"
            ).fetchall()
        return [*rows, self.turns(self.victim)().json()["items"]]

    def raw(
        self, method: str, target: bytes, *lines: bytes, body: bytes = b""
    ) -> tuple[int, bytes]:
        """Status and body of the answer to a request that is sent as it stands."""
        head = [b"%s %s HTTP/1.1" % (method.encode(), target), b"Host: 127.0.0.1", *lines]
        head += [b"Content-Length: %d" % len(body), b"Connection: close", b"", body]
        answer = b""
        with socket.create_connection(self.address, timeout=60) as connection:
            connection.sendall(b"\r\n".join(head))
            while piece := connection.recv(65536):
                answer += piece
        start, _, content = answer.partition(b"\r\n\r\n")
        return int(start.split()[1]), content

    def token(self) -> list[bytes]:
        """The header lines of a user."""
        return [f"{name}: {value}".encode() for name, value in self.me.items()]


@contextmanager
def under_attack(shared: SharedServers, name: str) -> Generator[Attacked]:
    """One server for all attacks of a module: what one of them breaks, a later one may find."""
    users = Users()
    with psycopg.connect(shared.postgres_url("postgres"), autocommit=True) as admin:
        create: Any = f"CREATE DATABASE {name}"
        drop: Any = f"DROP DATABASE {name} WITH (FORCE)"
        admin.execute(create)
        # A Redis database that no other test of this run is given so soon.
        urls = shared.redis_url(63), shared.postgres_url(name)
        with redis.Redis.from_url(urls[0]) as client:
            client.flushdb()
        initialise(*urls, partitions=4)
        settings = {"auth": "jwt", "jwt_secret": users.secret}
        with (
            projecting(*urls),
            listening(*urls, **settings) as url,
            httpx.Client(base_url=url) as api,
        ):
            yield Attacked(api, urls[1], users)
        admin.execute(drop)


def check(status: int, body: bytes, sent: str) -> None:
    """An answer that an attacker may get."""
    assert status < 500 or status == 504, (sent[:200], status, body[:500])
    assert SECRET.encode() not in body, sent[:200]
    if status >= 400:
        document = json.loads(body)
        assert document["type"].startswith("urn:turnlog:problem:"), document
        said = json.dumps([document["detail"], document.get("errors")]).lower()
        assert not [word for word in TELLING if word in said], (sent[:200], said)
