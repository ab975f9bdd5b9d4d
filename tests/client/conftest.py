"""Fixtures of the tests of the API's client."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1] / "api"))  # for `served` and `live_api`
sys.path.append(str(Path(__file__).parents[1] / "producers"))  # for `losing_proxy`

from client_bench import Bench, Kind, made
from live_api import listening
from served import Stage


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Which client: both must behave alike."""
    return request.param


@pytest.fixture
def stage(redis_url: str, postgres_url: str) -> Iterator[Stage]:
    """A log, its database, and a projection that the test moves by hand."""
    stage = Stage(redis_url, postgres_url)
    yield stage
    stage.close()


@pytest.fixture
def url(stage: Stage) -> Iterator[str]:
    """The address of an API with auth off."""
    with listening(stage.redis_url, stage.postgres_url) as address:
        yield address


@pytest.fixture
async def bench(kind: Kind, stage: Stage, url: str) -> AsyncIterator[Bench]:
    """A client of that API."""
    bench = Bench(made(kind, url), stage)
    yield bench
    await bench.close()
