"""`turnlog tail` while Redis is away: it waits, says so, and goes on where it stopped."""

import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest
from cli_running import Turnlog
from servers import binaries, reachable_folder

from turnlog_cli.embedded import EmbeddedServers
from turnlog_producers import TurnLog

pytestmark = [pytest.mark.integration, pytest.mark.fault]


@pytest.fixture
def servers() -> Iterator[EmbeddedServers]:
    folder = reachable_folder()
    with EmbeddedServers(folder, with_postgres=False, **binaries()) as running:
        yield running
    shutil.rmtree(folder)


def line(process: "subprocess.Popen[bytes]") -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return process.stdout.readline().decode()


def said(process: "subprocess.Popen[bytes]") -> str:
    """The next line on stderr."""
    assert process.stderr is not None
    return process.stderr.readline().decode()


def test_tail_goes_on_when_redis_is_back(servers: EmbeddedServers) -> None:
    turnlog = Turnlog(servers.urls.redis_url, "")
    with TurnLog.connect(servers.urls.redis_url, retry_s=30) as log:
        chat = log.session("s-1")
        chat.append_turn("user", "before")
        process = turnlog.start("tail")
        assert said(process).startswith("following")
        chat.append_turn("user", "one")
        assert line(process).endswith("s-1  2  turn.appended user one\n")
        servers.kill_redis()
        assert said(process).startswith("Redis does not answer, waiting: ")
        servers.start_redis()
        chat.append_turn("user", "two")
        chat.append_turn("user", "three")
        assert line(process).endswith("s-1  3  turn.appended user two\n")
        assert line(process).endswith("s-1  4  turn.appended user three\n")
        assert said(process) == "Redis is back\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
