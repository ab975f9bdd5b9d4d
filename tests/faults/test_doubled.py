"""Two projectors that both own everything, and replies that are lost: nothing is written twice."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from cutting import cutting
from load import load, projector
from settling import judge, wait_until_acknowledged, wait_until_projected, wait_until_projecting

from turnlog_cli.instance import ServerUrls
from turnlog_projector.replay import replay

pytestmark = [pytest.mark.fault, pytest.mark.integration]


@contextmanager
def greedy(urls: ServerUrls) -> Generator[None]:
    """A process that takes every partition, for the time of the block."""
    script = Path(__file__).with_name("greedy.py")
    given = {
        "TURNLOG_REDIS_URL": urls.redis_url or "",
        "TURNLOG_POSTGRES_URL": urls.postgres_url or "",
        "TURNLOG_LOG_LEVEL": "ERROR",
    }
    process = subprocess.Popen([sys.executable, script], env={**os.environ, **given})
    try:
        yield
        assert process.poll() is None, "the projector has ended by itself"
    finally:
        process.terminate()
        process.wait(30)


def test_two_projectors_own_the_same_partitions(urls: ServerUrls) -> None:
    with ExitStack() as stack:
        writing = stack.enter_context(load(urls.redis_url or ""))
        for _ in range(2):
            stack.enter_context(greedy(urls))
        wait_until_projecting(urls, events=2000)
        replay(urls.postgres_url or "", tell=lambda _: None)
        wait_until_projecting(urls, events=2000)
        record = writing.stop()
        wait_until_projected(urls)
        judge(urls, record)


def test_connections_cut_after_the_request_was_sent(urls: ServerUrls) -> None:
    with (
        cutting(urls.redis_url or "", every=20) as breaking,
        load(breaking) as writing,
        projector(urls),
    ):
        wait_until_acknowledged(writing, events=1000)
        record = writing.stop()
        wait_until_projected(urls)
        judge(urls, record)


def test_many_writers_on_one_session(urls: ServerUrls) -> None:
    with (
        load(urls.redis_url or "", writers=32, sessions=1) as writing,
        projector(urls, workers=2),
    ):
        wait_until_acknowledged(writing, events=2000)
        record = writing.stop()
        wait_until_projected(urls)
        judge(urls, record)
