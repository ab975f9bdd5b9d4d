"""Our services as compose.yaml runs them: its commands, environment, order and health checks, as
local processes on real servers, with nothing of this machine's environment but PATH."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from composed import Service, read_services
from servers import binaries, reachable_folder, wait_until

from turnlog_cli.embedded import EmbeddedServers
from turnlog_cli.ports import free_port
from turnlog_cli.wheels import postgres_binary

pytestmark = pytest.mark.integration

LONG_S = 60.0


class Stack:
    """The services of compose.yaml; Redis and Postgres are the embedded ones."""

    def __init__(self, folder: Path) -> None:
        self.servers = EmbeddedServers(folder, appendfsync="no", durable=False, **binaries())
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.services: dict[str, Service] = {}
        self.port = free_port()
        self._places: dict[str, str] = {}

    def start(self) -> None:
        """Start what compose would start, each when what it depends on is as far as it must be."""
        self.start_servers()
        self.start_services()

    def start_servers(self) -> None:
        """Start Redis and Postgres, and read compose.yaml with their passwords."""
        urls = self.servers.start()
        redis, postgres = urlsplit(urls.redis_url), urlsplit(urls.postgres_url)
        self.services = read_services(
            {
                "TURNLOG_REDIS_PASSWORD": redis.password or "",
                "TURNLOG_POSTGRES_PASSWORD": postgres.password or "",
                "TURNLOG_JWT_SECRET": secrets.token_hex(32),
                # The next worker need not wait long for a lease; the check reads the setting too.
                "TURNLOG_LEASE_SECONDS": "3",
            }
        )
        self._places = {
            "@redis:6379/": f"@{redis.hostname}:{redis.port}/",
            "@postgres:5432/": f"@{postgres.hostname}:{postgres.port}/",
            "127.0.0.1:8000/": f"127.0.0.1:{self.port}/",
        }

    def start_services(self) -> None:
        """Start all of ours that do not run, in order, and wait until they are healthy."""
        for service in self.services.values():
            if service.name in ("redis", "postgres") or self._runs(service.name):
                continue
            for name, condition in service.depends_on.items():
                self._await(name, condition)
            self._launch(service)
        for name in ("projector", "api"):
            wait_until(lambda name=name: self.healthy(name), f"{name} is healthy", LONG_S)

    def _runs(self, name: str) -> bool:
        return name in self.running and self.running[name].poll() is None

    def _await(self, name: str, condition: str) -> None:
        if condition == "service_completed_successfully":
            assert self.running[name].wait(LONG_S) == 0, self.log(name)
        else:
            assert condition == "service_healthy"
            # Their checks are tested with the servers; embedded ones answer when `start` returns.
            assert name in ("redis", "postgres")

    def _launch(self, service: Service) -> None:
        command = [str(self.port) if part == "8000" else part for part in service.command]
        with (self.folder / f"{service.name}.out").open("wb") as log:
            self.running[service.name] = subprocess.Popen(
                command, cwd="/", env=self._environment(service), stdout=log, stderr=log
            )

    def _environment(self, service: Service) -> dict[str, str]:
        scripts = Path(sys.executable).parent
        return {
            "PATH": f"{scripts}:{os.environ['PATH']}",
            **{name: self._placed(value) for name, value in service.environment.items()},
        }

    def _placed(self, text: str) -> str:
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text

    def run(self, name: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """What `docker compose exec` does."""
        return subprocess.run(
            command,
            cwd="/",
            env=self._environment(self.services[name]),
            capture_output=True,
            text=True,
            check=False,
            timeout=LONG_S,
        )

    def healthy(self, name: str) -> bool:
        """Run the service's health check once."""
        assert self.running[name].poll() is None, self.log(name)
        return self.run(name, *map(self._placed, self.services[name].health)).returncode == 0

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.out").read_text()

    def token(self, *options: str) -> str:
        made = self.run("api", "turnlog", "token", *options)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def request(
        self, method: str, path: str, token: str = "", body: object = None, *, key: str = ""
    ) -> tuple[int, Any]:
        """The status and the JSON of the answer; `key` lets a write be repeated."""
        headers = {"content-type": "application/json"}
        if key:
            headers["idempotency-key"] = key
        if token:
            headers["authorization"] = f"Bearer {token}"
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            headers=headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(asked, timeout=LONG_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    def stop(self) -> None:
        """End whatever still runs, without asking."""
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        self.servers.stop()


@contextlib.contextmanager
def _new_stack() -> Generator[Stack, None, None]:
    folder = reachable_folder()
    made = Stack(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All services, healthy; each test leaves them so."""
    with _new_stack() as made:
        made.start()
        yield made


def _contents(stack: Stack, session_id: str, token: str) -> list[str]:
    _, page = stack.request("GET", f"/v1/sessions/{session_id}/turns", token)
    return [turn["content"] for turn in page.get("items", [])]


def test_a_turn_that_is_posted_is_read_back(stack: Stack) -> None:
    token = stack.token("--tenant", "acme", "--user", "u-1")
    said = {"role": "user", "content": "How is revenue by region?"}
    status, posted = stack.request("POST", "/v1/sessions/read/turns", token, said)
    assert status == 201, posted
    wait_until(lambda: _contents(stack, "read", token) == [said["content"]], "it is projected")


def test_without_a_token_nothing_is_served(stack: Stack) -> None:
    assert stack.request("GET", "/v1/sessions")[0] == 401


def test_nobody_sees_the_session_of_another(stack: Stack) -> None:
    said = {"role": "user", "content": "mine"}
    mine, other = (stack.token("--tenant", "acme", "--user", user) for user in ("u-1", "u-2"))
    assert stack.request("POST", "/v1/sessions/own/turns?ack=projected", mine, said)[0] == 201
    assert stack.request("GET", "/v1/sessions/own", mine)[0] == 200
    assert stack.request("GET", "/v1/sessions/own", other)[0] == 404


def test_both_end_with_0_when_asked_to_stop_and_can_be_started_again(stack: Stack) -> None:
    for name in ("api", "projector"):
        process = stack.running[name]
        process.send_signal(signal.SIGTERM)
        # After that time an engine kills it.
        assert process.wait(stack.services[name].stop_grace_s) == 0, stack.log(name)
    stack.start_services()


def test_health_checks_fail_without_postgres_and_pass_again_with_it(stack: Stack) -> None:
    stack.servers.kill_postgres()
    for name in ("api", "projector"):
        wait_until(lambda name=name: not stack.healthy(name), f"{name} is not healthy", LONG_S)
    stack.servers.start_postgres()
    for name in ("api", "projector"):
        wait_until(lambda name=name: stack.healthy(name), f"{name} is healthy again", LONG_S)


def test_health_checks_fail_without_redis_and_pass_again_with_it(stack: Stack) -> None:
    stack.servers.kill_redis()
    for name in ("api", "projector"):
        wait_until(lambda name=name: not stack.healthy(name), f"{name} is not healthy", LONG_S)
    stack.servers.start_redis()
    for name in ("api", "projector"):
        wait_until(lambda name=name: stack.healthy(name), f"{name} is healthy again", LONG_S)


def test_the_health_check_of_the_projector_fails_when_its_workers_hang(stack: Stack) -> None:
    children = ["pgrep", "-P", str(stack.running["projector"].pid)]
    listed = subprocess.run(children, capture_output=True, text=True, check=True)
    workers = [int(pid) for pid in listed.stdout.split()]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not stack.healthy("projector"), "it is not healthy", LONG_S)
        assert stack.healthy("api")
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: stack.healthy("projector"), "it is healthy again", LONG_S)


def test_init_can_be_repeated_while_all_run(stack: Stack) -> None:
    again = stack.run("init", *stack.services["init"].command)
    assert again.returncode == 0, again.stderr
    assert stack.healthy("api")
    assert stack.healthy("projector")


def test_a_dump_brings_everything_back_on_empty_servers(stack: Stack) -> None:
    """The steps of docs/deploy.md, both servers lost."""
    said = {"role": "user", "content": "keep this"}
    token = stack.token("--tenant", "acme", "--user", "u-1")
    assert stack.request("POST", "/v1/sessions/kept/turns?ack=projected", token, said)[0] == 201
    with _new_stack() as restored:
        restored.start_servers()
        dump = str(restored.folder / "turnlog.dump")
        _postgres_tool("pg_dump", "-Fc", "-f", dump, "-d", stack.servers.urls.postgres_url)
        target = restored.servers.urls.postgres_url
        _postgres_tool("psql", "-q", "-c", "CREATE ROLE turnlog_api NOLOGIN", target)
        _postgres_tool("pg_restore", "--exit-on-error", "-d", target, dump)
        refused = restored.run("init", "turnlog", "init")
        assert refused.returncode == 1
        assert "turnlog repair --adopt" in refused.stderr
        adopted = restored.run("init", "turnlog", "repair", "--adopt")
        assert adopted.returncode == 0, adopted.stderr
        restored.start_services()
        token = restored.token("--tenant", "acme", "--user", "u-1")
        assert _contents(restored, "kept", token) == ["keep this"]
        more = {"role": "assistant", "content": "it is kept"}
        path = "/v1/sessions/kept/turns?ack=projected"
        wait_until(
            lambda: restored.request("POST", path, token, more, key="once")[0] in (200, 201),
            "the session takes another turn",
            LONG_S,
        )
        assert _contents(restored, "kept", token) == ["keep this", "it is kept"]


def _postgres_tool(name: str, *arguments: str) -> None:
    """Of the same release as the servers: dumps do not go back to older ones."""
    folder = binaries().get("postgres_bin") or postgres_binary(Path("/"), None).parent
    program = folder / name
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
