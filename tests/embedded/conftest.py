"""Folders and commands for tests that start servers of their own."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import reachable_folder, wait_until

from turnlog_cli.instance import NoInstance, ServerUrls, find_instance
from turnlog_cli.processes import identity

_NAMES = ("redis", "postgres", "projector", "api")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder to be made, with a space in its path, below one that every user can reach."""
    parent = reachable_folder()
    yield parent / "a folder"
    shutil.rmtree(parent)


class Up:
    """A `turnlog up` in a process group of its own."""

    def __init__(self, folder: Path, *options: str, **settings: str) -> None:
        self.folder = folder
        self._errors = folder.parent / f"{folder.name}.stderr"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TURNLOG_")}
        with self._errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "turnlog_cli.main", "up", "--data-dir", folder, *options],
                env={**environment, **settings},
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    def wait_running(self) -> ServerUrls:
        """Wait until it says that everything runs."""

        def running() -> ServerUrls | None:
            assert self.process.poll() is None, f"turnlog up has ended: {self.errors()}"
            with contextlib.suppress(NoInstance):  # it is still starting
                return find_instance(self.folder)
            return None

        urls = wait_until(running, "turnlog up runs", timeout_s=60)
        assert urls is not None
        return urls

    def errors(self) -> str:
        """What it has written to stderr."""
        return self._errors.read_text()

    def pid_of(self, name: str) -> int:
        """The pid of one of its processes."""
        return int(json.loads((self.folder / f"{name}.pid").read_text())["pid"])

    def alive(self) -> dict[int, str]:
        """Processes of this folder that run, found by pid files: pid and name."""
        found: dict[int, str] = {}
        for name in _NAMES:
            path = self.folder / f"{name}.pid"
            record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"pid": 0}
            if record["pid"] and identity(record["pid"]) == record["identity"]:
                found[record["pid"]] = name
        return found

    def kill_group(self) -> None:
        """SIGKILL of the whole process group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal, wait; the exit code and what was written to stdout."""
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, output.decode()


@pytest.fixture
def up(folder: Path) -> Iterator[Callable[..., Up]]:
    """Starts `turnlog up` on a free port; on `folder` unless told another."""
    started: list[Up] = []

    def start(*options: str, data_dir: Path | None = None, **settings: str) -> Up:
        started.append(Up(data_dir or folder, "--port", "0", *options, **settings))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end()
        elif one.process.stdout is not None:
            one.process.stdout.close()
