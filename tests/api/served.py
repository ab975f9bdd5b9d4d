"""The API over real servers, within the test's own process."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import redis
from appending import NewEvent, Writer

from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_projector.database import Database, connect_postgres, connect_redis
from turnlog_projector.init import initialise
from turnlog_projector.log import LogReader
from turnlog_projector.projection import Projection
from turnlog_projector.settings import load

PARTITIONS = 4


class Stage:
    """A log in Redis, its database, and a projection that only moves when a test says so."""

    def __init__(self, redis_url: str, postgres_url: str) -> None:
        self.redis_url = redis_url
        self.postgres_url = postgres_url
        initialise(redis_url, postgres_url, partitions=PARTITIONS)
        self.client = redis.Redis.from_url(redis_url)
        self.connection: Database = connect_postgres(postgres_url)
        log = LogReader(connect_redis(redis_url), PARTITIONS)
        self.projection = Projection(log, connect_postgres(postgres_url))
        self.projection.reload(range(PARTITIONS))

    def close(self) -> None:
        self.projection.log.client.close()
        self.projection.connection.close()
        self.connection.close()
        self.client.close()

    def writer(self, tenant: str = "default") -> Writer:
        """Appends past the API."""
        return Writer(self.client, partitions=PARTITIONS, tenant=tenant)

    def append(self, session_id: str, events: Iterable[NewEvent], *, owner: str = "") -> None:
        """Append events one by one, so that a projection may stop between any two."""
        writer = self.writer()
        for event in events:
            writer.append(session_id, event, owner=owner if event.mark == "s" else "")

    def project(self) -> None:
        """Project all that the log holds."""
        while self.projection.project(range(PARTITIONS))[0]:
            continue

    async def keep_projecting(self, stop: asyncio.Event) -> None:
        """Project all the time, until told to stop."""
        while not stop.is_set():
            await asyncio.to_thread(self.project)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(
    stage: Stage, *, headers: dict[str, str] | None = None, **settings: Any
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of an app of its own."""
    values = {"redis_url": stage.redis_url, "postgres_url": stage.postgres_url, **settings}
    app = create_app(load(ApiSettings, **values))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://127.0.0.1",
            headers=headers or {},
        ) as client,
    ):
        yield client


class Users:
    """Makes tokens that the app of the test accepts."""

    secret = "a secret of at least thirty-two bytes"

    def token(self, user: str, *, tenant: str = "default", scope: str = "", **claims: Any) -> str:
        now = int(time.time())
        all_claims = {"tenant": tenant, "sub": user, "scope": scope, "exp": now + 600, **claims}
        return jwt.encode(all_claims, self.secret, algorithm="HS256")

    def headers(self, user: str, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user, **claims)}"}


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer that must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == f"urn:turnlog:problem:{code}"
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]
    assert "\n" not in document["detail"]
    return document


async def all_pages(
    api: httpx.AsyncClient, path: str, **params: Any
) -> tuple[list[dict[str, Any]], int]:
    """All items of a list, page by page, and the number of pages."""
    items: list[dict[str, Any]] = []
    query: dict[str, Any] = params
    for pages in range(1, 1000):
        page = (await api.get(path, params=query)).raise_for_status().json()
        items += page["items"]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            return items, pages
        query = {"cursor": page["next_cursor"], "limit": params.get("limit", 100)}
    raise AssertionError("1,000 pages came to no end")
