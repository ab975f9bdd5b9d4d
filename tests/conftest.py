"""Fixtures that all tests share: a Redis database and a Postgres database of one's own."""

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg import sql

# `--import-mode=importlib` adds nothing to the path; tests import `servers` by name.
sys.path.insert(0, str(Path(__file__).parent))

from servers import DATABASES, SharedServers

_REPOSITORY = Path(__file__).resolve().parent.parent
_databases = itertools.count(1)


@pytest.fixture(scope="session")
def shared_servers() -> Iterator[SharedServers]:
    """The servers of this test run. Tests that kill or stop a server start their own."""
    servers = SharedServers()
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def _redis_numbers() -> Iterator[int]:
    return itertools.cycle(range(DATABASES))


@pytest.fixture
def redis_url(shared_servers: SharedServers, _redis_numbers: Iterator[int]) -> str:
    """An empty Redis database."""
    url = shared_servers.redis_url(next(_redis_numbers))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def new_postgres_url(shared_servers: SharedServers) -> Iterator[Callable[[], str]]:
    """Makes an empty Postgres database a call; all are dropped at the end of the test."""
    made: list[str] = []
    with psycopg.connect(shared_servers.postgres_url("postgres"), autocommit=True) as admin:

        def new() -> str:
            name = f"test_{next(_databases)}"
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            made.append(name)
            return shared_servers.postgres_url(name)

        yield new
        for name in made:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            admin.execute(drop.format(sql.Identifier(name)))


@pytest.fixture
def postgres_url(new_postgres_url: Callable[[], str]) -> str:
    """An empty Postgres database."""
    return new_postgres_url()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real conversations; they lie beside the repository where it is developed."""
    path = _REPOSITORY.parent / "shared" / "data" / "agent_chats.jsonl.gz"
    if not path.exists():
        pytest.skip("the data set shared/data/agent_chats.jsonl.gz is not beside the repository")
    return path
