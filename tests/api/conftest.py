"""Fixtures of the API's tests."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "projector"))  # for `histories`

from served import Stage, Users, serving


@pytest.fixture
def stage(redis_url: str, postgres_url: str) -> Iterator[Stage]:
    """A log, its database, and a projection that the test moves by hand."""
    made = Stage(redis_url, postgres_url)
    yield made
    made.close()


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    """The API with auth off."""
    async with serving(stage) as client:
        yield client


@pytest.fixture
def users() -> Users:
    """Makes tokens."""
    return Users()


@pytest.fixture
async def guarded(stage: Stage, users: Users) -> AsyncIterator[httpx.AsyncClient]:
    """The API with auth on."""
    async with serving(stage, auth="jwt", jwt_secret=users.secret, host="0.0.0.0") as client:
        yield client
