"""Processes that we start: they end with us, and a later start can find and stop what is left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from turnlog_cli.accounts import Account
from turnlog_cli.instance import write_private
from turnlog_schemas.errors import TurnlogError

_LAUNCH = Path(__file__).with_name("launch.py")
_STDERR = 2
_LOG_LIMIT_BYTES = 16 * 1024 * 1024

# Linux ties "end with the parent" to the thread that starts a process, not to the whole parent. So
# one thread, which lives as long as this interpreter, starts all of them.
_starter = ThreadPoolExecutor(1, thread_name_prefix="turnlog-starter")


class ServerFailed(TurnlogError):
    """An embedded server could not be started. The text quotes the end of its log file."""


def launch(
    program: Sequence[str | Path],
    *,
    death_signal: signal.Signals,
    account: Account | None = None,
    seen_as: int | None = None,
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
    output: IO[bytes] | int = _STDERR,
    stdin: int = subprocess.DEVNULL,
) -> "subprocess.Popen[bytes]":
    """Start a program in a session of its own, so that Ctrl-C in the terminal reaches only us.

    On Linux the kernel sends it `death_signal` when this process ends, however that happens.
    `seen_as` is the uid that it is to see as its own; the exit code is `launch.NOT_SEEN_AS` where
    the system does not allow that.
    """
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    seen = -1 if seen_as is None else seen_as
    head = [sys.executable, "-I", "-S", _LAUNCH, os.getpid(), int(death_signal), uid, gid, seen]
    argv = [str(part) for part in [*head, *program]]

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    return _starter.submit(start).result()


def identity(pid: int) -> str | None:
    """What tells this process from a later one with the same pid, or None when it has ended."""
    if not Path("/proc/self/stat").exists():
        started = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return started.stdout.strip() or None
    try:
        # The name in brackets may hold anything; the fields after it are fixed.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, started_ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{boot} {started_ticks}"


def wait_gone(pid: int, who: str, timeout_s: float) -> bool:
    """Wait for a process that is not our child to end; False when it has not in time."""
    deadline = time.monotonic() + timeout_s
    while identity(pid) == who:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class ServerProcess:
    """One process of an instance: its log, and the pid file by which it is found again."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        stop_signals: Sequence[signal.Signals],
        stop_s: float,
        death_signal: signal.Signals | None = None,
    ) -> None:
        """`stop_signals` are sent one after the other, each given `stop_s`; SIGKILL comes last.

        `death_signal` is what it gets when we end without stopping it, by default the first of
        those.
        """
        self.name = name
        self.log = folder / f"{name}.log"
        self.pid_file = folder / f"{name}.pid"
        self._stop_signals = stop_signals
        self._stop_s = stop_s
        self._death_signal = death_signal or stop_signals[0]
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def launch(
        self,
        program: Sequence[str | Path],
        *,
        environment: dict[str, str],
        account: Account | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
    ) -> None:
        """Start it with this text on its standard input, its output going to its log file; says
        nothing about its readiness."""
        with self.open_log() as log:
            process = launch(
                program,
                death_signal=self._death_signal,
                account=account,
                cwd=cwd,
                environment=environment,
                output=log,
                stdin=subprocess.PIPE,
            )
        self._started(process)
        assert process.stdin is not None
        try:
            process.stdin.write(stdin)
            process.stdin.close()
        except BrokenPipeError:
            process.wait()  # it ended at once; whoever waits for it reads why in its log

    def launch_beside_us(
        self, program: Sequence[str | Path], *, environment: dict[str, str]
    ) -> None:
        """Start one of our own commands, which writes to our stderr instead of a log file."""
        self._started(launch(program, death_signal=self._death_signal, environment=environment))

    def _started(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        record = {"pid": process.pid, "identity": identity(process.pid)}
        write_private(self.pid_file, json.dumps(record))

    def open_log(self) -> IO[bytes]:
        """Open the log for appending; `log_tail` quotes what comes after this moment."""
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        log = os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
        self._log_start = log.tell()
        return log

    def log_tail(self, lines: int = 8) -> str:
        """The last lines that this run has logged."""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - 8192))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    @property
    def pid(self) -> int | None:
        """The pid while we run it."""
        return self._process.pid if self._process else None

    def ended(self) -> bool:
        """True when it was started and is no longer running."""
        return self._process is not None and self._process.poll() is not None

    def failed(self, what: str) -> ServerFailed:
        """The error to raise when this server did not do `what`."""
        return ServerFailed(f"{self.name} {what}; the end of {self.log}:\n{self.log_tail()}")

    def exit_text(self) -> str:
        """How it ended, for a log line."""
        code = self._process.poll() if self._process else None
        if code is None:
            return "still running"
        return f"ended with exit code {code}" if code >= 0 else f"ended by signal {-code}"

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop it and wait until it is gone; nothing happens when it does not run. When `hurry`
        turns true, it gets no more time."""
        if self._process is None:
            return
        for number in self._stop_signals:
            self._process.send_signal(number)
            deadline = time.monotonic() + self._stop_s
            while not self.ended() and not hurry() and time.monotonic() < deadline:
                time.sleep(0.01)
            if self.ended():
                break
        else:
            self.kill()
        self._process = None
        self.pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """SIGKILL: what a crash looks like."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop_leftover(self) -> None:
        """Stop the server that an earlier, killed run left behind, if there is one."""
        try:
            record = json.loads(self.pid_file.read_text())
            pid, who = int(record["pid"]), str(record["identity"])
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):  # cut off in the middle of writing it
            self.pid_file.unlink()
            return
        for number in (*self._stop_signals, signal.SIGKILL):
            if identity(pid) != who:
                break
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                break
            except PermissionError:
                raise ServerFailed(
                    f"{self.name} of this folder still runs as another user (pid {pid}): stop it"
                ) from None
            if wait_gone(pid, who, self._stop_s):
                break
        self.pid_file.unlink(missing_ok=True)
