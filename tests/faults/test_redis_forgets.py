"""Redis comes back without its newest events, and takes new ones under the same seqs."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from load import Acknowledged, Projector, load
from servers import binaries, reachable_folder, wait_until
from settling import judge, wait_until_acknowledged, wait_until_projected

from turnlog_cli.embedded import EmbeddedServers
from turnlog_cli.instance import ServerUrls
from turnlog_projector.init import initialise

pytestmark = [pytest.mark.fault, pytest.mark.integration]


class Forgetful:
    """Servers whose Redis can be set back to an older copy of its files."""

    def __init__(self, folder: Path) -> None:
        self.servers = EmbeddedServers(folder, appendfsync="always", **binaries())
        self.urls = self.servers.start()
        initialise(self.urls.redis_url or "", self.urls.postgres_url or "", partitions=16)
        self._data = folder / "redis"
        self._copy = folder / "copy"

    def copy(self) -> None:
        """Copy what Redis has on disk."""
        self.servers.kill_redis()
        subprocess.run(["cp", "-a", self._data, self._copy], check=True)
        self.servers.start_redis()

    def forget(self) -> None:
        """Start Redis from the copy: all that came since is gone."""
        self.servers.kill_redis()
        shutil.rmtree(self._data)
        subprocess.run(["cp", "-a", self._copy, self._data], check=True)
        self.servers.start_redis()


@pytest.fixture
def forgetful() -> Iterator[Forgetful]:
    folder = reachable_folder()
    made = Forgetful(folder)
    yield made
    made.servers.stop()
    shutil.rmtree(folder)


@pytest.fixture
def running(forgetful: Forgetful) -> Iterator[Projector]:
    process = Projector(forgetful.urls)
    yield process
    process.stop()


@pytest.mark.parametrize("watched", [True, False])
def test_what_was_archived_and_what_came_after_are_both_kept(
    forgetful: Forgetful, running: Projector, watched: bool
) -> None:
    """The projector either lives through it, or is started again like the rest of the machine."""
    urls = forgetful.urls
    with load(urls.redis_url or "") as writing:
        wait_until_acknowledged(writing, events=300)
        forgetful.copy()
        wait_until_acknowledged(writing, events=300)
        record = list(writing.stop())
        wait_until_projected(urls)
    if not watched:
        running.kill()
    forgetful.forget()
    with load(urls.redis_url or "") as writing:
        wait_until_acknowledged(writing, events=100)
        if not watched:
            running.restart()
        wait_until_acknowledged(writing, events=300)
        record += writing.stop()
    wait_until(lambda: is_right(urls, record), "all of it is projected and healed", timeout_s=15)
    judge(urls, record, healed=True)


def is_right(urls: ServerUrls, record: list[Acknowledged]) -> bool:
    """Whether there is nothing to complain about (any more)."""
    try:
        judge(urls, record, healed=True)
    except AssertionError:
        return False
    return True
