"""`turnlog up` as a real process: it starts everything, mends it, and leaves nothing behind."""

import http.client
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from servers import wait_until

from turnlog_cli.instance import ServerUrls, find_instance
from turnlog_cli.processes import identity

from .conftest import Up

pytestmark = pytest.mark.integration
StartUp = Callable[..., Up]


def healthy(urls: ServerUrls) -> bool:
    address = urlsplit(urls.api_url or "")
    connection = http.client.HTTPConnection(address.netloc, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def note(urls: ServerUrls) -> None:
    """Leave a mark in both servers."""
    with redis.Redis.from_url(urls.redis_url) as client:
        client.set("test:kept", "yes")
    with psycopg.connect(urls.postgres_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'yes' AS value")


def noted(urls: ServerUrls) -> bool:
    with (
        redis.Redis.from_url(urls.redis_url) as client,
        psycopg.connect(urls.postgres_url) as connection,
    ):
        row = connection.execute("SELECT value FROM kept").fetchone()
        return client.get("test:kept") == b"yes" and row == ("yes",)


def test_it_starts_everything_and_a_signal_stops_it(up: StartUp, folder: Path) -> None:
    running = up()
    urls = running.wait_running()
    assert healthy(urls)
    assert sorted(running.alive().values()) == ["api", "postgres", "projector", "redis"]
    pids = list(running.alive())
    code, output = running.end(signal.SIGINT)
    assert code == 0
    assert urls.api_url is not None
    assert f"Turnlog runs at {urls.api_url}" in output
    assert urls.redis_url in output
    assert "\x1b" not in output
    assert not any(map(identity, pids))
    assert find_instance(folder) is None


def test_everything_is_there_after_the_group_was_killed(up: StartUp) -> None:
    first = up()
    urls = first.wait_running()
    note(urls)
    first.kill_group()
    second = up()
    again = second.wait_running()
    assert (again.redis_url, again.postgres_url) == (urls.redis_url, urls.postgres_url)
    assert noted(again)
    assert healthy(again)


def test_a_second_start_on_the_folder_is_refused(up: StartUp) -> None:
    first = up()
    urls = first.wait_running()
    second = up()
    second.process.wait(timeout=60)
    assert second.process.returncode == 1
    text = second.errors().splitlines()[-1]
    assert f"(pid {first.process.pid}) at {urls.api_url}" in text
    assert healthy(urls)


def test_two_folders_run_at_once(up: StartUp, folder: Path) -> None:
    first, second = up(), up(data_dir=folder.with_name("second"))
    one, two = first.wait_running(), second.wait_running()
    assert healthy(one)
    assert healthy(two)
    assert not set(one) & set(two)


def test_a_port_that_is_taken_is_one_line_and_starts_nothing(up: StartUp, folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        running = up("--port", str(port))
        running.process.wait(timeout=60)
    assert running.process.returncode == 1
    (line,) = running.errors().splitlines()
    assert f"cannot listen on 127.0.0.1:{port}" in line
    assert not (folder / "postgres").exists()


_TAKE_THE_PORT_OF_THE_API = """
import os, pathlib, socket, sys
note = pathlib.Path(os.environ["TEST_NOTE"])
if "--port" in sys.orig_argv and "api" in sys.orig_argv and not note.exists():
    port = int(sys.orig_argv[sys.orig_argv.index("--port") + 1])
    listener = socket.create_server(("127.0.0.1", port))
    note.write_text(str(port))
    up = os.getppid()
    if os.fork() == 0:  # listens as long as `turnlog up` runs
        listener.settimeout(0.1)
        while os.path.exists(f"/proc/{up}"):
            try:
                listener.accept()[0].close()
            except TimeoutError:
                continue
        os._exit(0)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for a process in /proc")
def test_a_free_port_that_is_gone_when_the_api_comes_gives_way(up: StartUp, tmp_path: Path) -> None:
    # Python runs this first in every process: in the API's before it listens.
    (tmp_path / "sitecustomize.py").write_text(_TAKE_THE_PORT_OF_THE_API)
    note = tmp_path / "port"
    urls = up(PYTHONPATH=str(tmp_path), TEST_NOTE=str(note)).wait_running()
    assert healthy(urls)
    assert urlsplit(urls.api_url or "").port != int(note.read_text())


def test_what_the_api_refuses_ends_the_start(up: StartUp) -> None:
    running = up(TURNLOG_AUTH="jwt")
    running.process.wait(timeout=60)
    assert running.process.returncode == 1
    assert "TURNLOG_JWT_SECRET" in running.errors()
    assert running.alive() == {}


@pytest.mark.fault
@pytest.mark.parametrize("name", ["api", "projector", "redis", "postgres"])
def test_a_part_that_dies_is_started_again(up: StartUp, name: str) -> None:
    running = up()
    urls = running.wait_running()
    note(urls)
    pid = running.pid_of(name)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: running.pid_of(name) != pid, f"another {name} is started")
    wait_until(lambda: len(running.alive()) == 4 and healthy(urls), "everything runs again")
    if name == "redis":
        wait_until(lambda: _pings(urls.redis_url), "redis answers")
    if name == "postgres":
        wait_until(lambda: _connects(urls.postgres_url), "postgres answers")
    assert noted(urls)
    assert f"{name} ended by signal 9: starting it again" in running.errors()


@pytest.mark.fault
def test_a_second_signal_leaves_no_orphan(up: StartUp) -> None:
    running = up()
    running.wait_running()
    pids = list(running.alive())
    # A projector that cannot react holds up the stop until the second signal.
    os.kill(running.pid_of("projector"), signal.SIGSTOP)
    running.process.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping" in running.errors(), "it is stopping")
    code, _ = running.end(signal.SIGINT)
    assert code == 0
    assert not any(map(identity, pids))


def test_given_servers_are_used_and_not_stopped(
    up: StartUp, folder: Path, redis_url: str, postgres_url: str
) -> None:
    running = up(TURNLOG_REDIS_URL=redis_url, TURNLOG_POSTGRES_URL=postgres_url)
    urls = running.wait_running()
    assert (urls.redis_url, urls.postgres_url) == (redis_url, postgres_url)
    assert sorted(running.alive().values()) == ["api", "projector"]
    code, output = running.end()
    assert code == 0
    assert redis_url not in output
    assert not (folder / "servers.json").exists()
    assert _pings(redis_url)
    assert _connects(postgres_url)


def _pings(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
