"""Redis and Postgres killed under load, and connections cut after the request was sent."""

import pytest
from load import load, projector
from settling import (
    judge,
    wait_until_acknowledged,
    wait_until_projected,
    wait_until_projecting,
)

from turnlog_cli.embedded import EmbeddedServers

pytestmark = [pytest.mark.fault, pytest.mark.integration]


def test_redis_killed_and_started_again(servers: EmbeddedServers) -> None:
    urls = servers.urls
    with load(urls.redis_url or "") as writing, projector(urls):
        for _ in range(3):
            wait_until_projecting(urls, events=50)
            servers.kill_redis()
            servers.start_redis()
        wait_until_acknowledged(writing, events=20)
        record = writing.stop()
        wait_until_projected(urls)
        judge(urls, record)


def test_postgres_killed_and_started_again(servers: EmbeddedServers) -> None:
    urls = servers.urls
    with load(urls.redis_url or "") as writing, projector(urls):
        for _ in range(3):
            wait_until_projecting(urls, events=50)
            servers.kill_postgres()
            wait_until_acknowledged(writing, events=50)
            servers.start_postgres()
        record = writing.stop()
        wait_until_projected(urls)
        judge(urls, record)


def test_both_killed_at_once(servers: EmbeddedServers) -> None:
    urls = servers.urls
    with load(urls.redis_url or "") as writing, projector(urls):
        wait_until_projecting(urls, events=50)
        servers.kill_redis()
        servers.kill_postgres()
        servers.start_postgres()
        servers.start_redis()
        wait_until_acknowledged(writing, events=20)
        record = writing.stop()
        wait_until_projected(urls)
        judge(urls, record)
