"""Fixtures of the command's tests."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cli_running import Turnlog, projecting

from turnlog_projector.init import initialise


@pytest.fixture
def turnlog(redis_url: str, postgres_url: str) -> Turnlog:
    """The command, with an empty log of 4 partitions and its initialised database."""
    initialise(redis_url, postgres_url, partitions=4)
    return Turnlog(redis_url, postgres_url)


@pytest.fixture
def project(turnlog: Turnlog) -> Iterator[Callable[[], None]]:
    """Starts a projector worker when called."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(projecting(turnlog))
