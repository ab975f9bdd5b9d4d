"""The running `turnlog up` of a data folder: its lock, its run file, and how others find it."""

import contextlib
import fcntl
import json
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from turnlog_schemas.errors import TurnlogError


class AlreadyRunning(TurnlogError):
    """Another process runs on this data folder."""


class NoInstance(TurnlogError):
    """There are no servers to use; the text says how to get some."""


class ServerUrls(NamedTuple):
    """Where the servers are. They hold passwords: never log them."""

    redis_url: str
    postgres_url: str
    api_url: str | None = None
    """The HTTP API, when one is known to run."""


def default_data_dir() -> Path:
    """TURNLOG_DATA_DIR, else the place for data of this user. Raises `NoInstance` for a user who
    has no home."""
    try:
        if given := os.environ.get("TURNLOG_DATA_DIR"):
            return Path(given).expanduser()
        if os.geteuid() == 0:
            return Path("/var/lib/turnlog")
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Application Support" / "turnlog"
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return Path(base) / "turnlog"
    except RuntimeError:
        raise NoInstance("this user has no home folder: name a data folder by --data-dir") from None


class DataDirLock:
    """Held by the one process that runs on a data folder; the kernel drops it with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock. The folder exists. Raises `AlreadyRunning`, naming pid and address."""
        # `find_instance` of another command holds it for an instant: ask more than once.
        deadline = time.monotonic() + 0.5
        while (fd := self._locked()) is None:
            if time.monotonic() > deadline:
                raise AlreadyRunning(_running_text(self._folder))
            time.sleep(0.02)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        run_path(self._folder).unlink(missing_ok=True)  # left behind by a run that was killed
        self._fd = fd

    def release(self) -> None:
        """Let go, and leave no file behind; safe to repeat."""
        if self._fd is not None:
            run_path(self._folder).unlink(missing_ok=True)
            _lock_path(self._folder).unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = None

    def _locked(self) -> int | None:
        """The lock file, open and locked; None while another process has it."""
        path = _lock_path(self._folder)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        # Whoever had it may have removed the file that we opened.
        if _try_lock(fd, fcntl.LOCK_EX) and _is_at(path, fd):
            return fd
        os.close(fd)
        return None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def run_path(folder: Path) -> Path:
    """The file that tells where the servers of a running instance are."""
    return folder / "run.json"


def write_run_file(folder: Path, urls: ServerUrls) -> None:
    """Say that everything runs, and where. Only the user who started it can read it."""
    write_private(run_path(folder), json.dumps({**urls._asdict(), "pid": os.getpid()}) + "\n")


def find_instance(data_dir: Path) -> ServerUrls | None:
    """Where the servers of this folder's running instance are; None when nothing runs on it.

    Raises `NoInstance` when it is only starting, or belongs to another user.
    """
    try:
        fd = os.open(_lock_path(data_dir), os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise NoInstance(
            f"{data_dir} belongs to another user: run this as the user who runs `turnlog up` there,"
            " or set TURNLOG_REDIS_URL and TURNLOG_POSTGRES_URL"
        ) from None
    try:
        if _try_lock(fd, fcntl.LOCK_SH):
            return None
    finally:
        os.close(fd)
    record = _read_run_file(data_dir)
    if record is None or not _lives(int(record["pid"])):  # left by one that was killed
        raise NoInstance(f"`turnlog up` on {data_dir} is just starting or stopping: try again")
    return ServerUrls(record["redis_url"], record["postgres_url"], record.get("api_url"))


def resolve_servers(
    *,
    redis_url: str | None = None,
    postgres_url: str | None = None,
    data_dir: Path | None = None,
) -> ServerUrls:
    """The servers that a command uses.

    An option wins over TURNLOG_REDIS_URL and TURNLOG_POSTGRES_URL, and these over the running
    instance of the data folder. Raises `NoInstance` when one of the two remains unknown.
    """
    redis_url = redis_url or os.environ.get("TURNLOG_REDIS_URL") or ""
    postgres_url = postgres_url or os.environ.get("TURNLOG_POSTGRES_URL") or ""
    if redis_url and postgres_url:
        return ServerUrls(redis_url, postgres_url)
    folder = data_dir or default_data_dir()
    found = find_instance(folder)
    if found is None:
        raise NoInstance(
            f"nothing runs on {folder}: start `turnlog up` (in another terminal), or set"
            " TURNLOG_REDIS_URL and TURNLOG_POSTGRES_URL"
        )
    return ServerUrls(
        redis_url or found.redis_url,
        postgres_url or found.postgres_url,
        None if redis_url or postgres_url else found.api_url,
    )


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def _lock_path(folder: Path) -> Path:
    return folder / "lock"


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _read_run_file(folder: Path) -> dict[str, str] | None:
    try:
        return json.loads(run_path(folder).read_text())
    except (FileNotFoundError, ValueError):
        return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _running_text(folder: Path) -> str:
    pid = ""
    with contextlib.suppress(OSError):
        pid = _lock_path(folder).read_text().strip()
    record = _read_run_file(folder)
    where = record.get("api_url") if record else None
    address = f" at {where}" if where else ""
    return (
        f"turnlog already runs on {folder} (pid {pid or 'unknown'}){address}: stop it first, or"
        " choose another --data-dir"
    )
