"""Fixtures of the fault tests: servers of their own, with fsync, that a test may kill."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import binaries, reachable_folder

from turnlog_cli.embedded import EmbeddedServers
from turnlog_cli.instance import ServerUrls
from turnlog_projector.init import initialise

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def servers() -> Iterator[EmbeddedServers]:
    """A Redis that syncs every write, and a Postgres, both initialised."""
    folder = reachable_folder()
    running = EmbeddedServers(folder, appendfsync="always", **binaries())
    urls = running.start()
    initialise(urls.redis_url or "", urls.postgres_url or "", partitions=16)
    yield running
    running.stop()
    shutil.rmtree(folder)


@pytest.fixture
def urls(servers: EmbeddedServers) -> ServerUrls:
    """Where they are."""
    return servers.urls
