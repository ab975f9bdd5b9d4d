"""Files of archive dumps: plain, gzip or zstd. The name says what is written; what is read is told
by its content."""

import fcntl
import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from turnlog_cli.lines import Unreadable
from turnlog_schemas.errors import TurnlogError

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP_LEVEL = 4
_ZSTD_LEVEL = 3
_MAX_LINE_BYTES = 256 * 1024 * 1024
_BUFFER_BYTES = 256 * 1024

Write = Callable[[bytes], object]


class Unwritable(TurnlogError):
    """A file cannot be written."""


@contextmanager
def writing(path: str) -> Generator[Write]:
    """Write a file, or standard output for `-`. A file appears under its name when it is whole and
    on disk, readable by its owner only; until then, and after a failure, what was there stays. A
    pipe or a device is written as it is."""
    if path == "-":
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    temporary = target.with_name(target.name + ".part")
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file, _compressing(file, target.suffix) as write:
                yield write
            return
        with os.fdopen(_locked(temporary, path), "wb") as file:
            try:
                with _compressing(file, target.suffix) as write:
                    yield write
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(target)  # while it is locked: then it is ours
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise Unwritable(f"cannot write {path}: {error.strerror or error}") from None


def _locked(temporary: Path, path: str) -> int:
    """A file that nobody else writes, empty and for its owner only; one that a killed process has
    left is taken. Raises `Unwritable` when another process is writing it."""
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had it may have renamed the file that we opened.
        if not os.path.samestat(temporary.stat(), os.fstat(fd)):
            raise BlockingIOError
        os.fchmod(fd, 0o600)
        os.ftruncate(fd, 0)
    except (BlockingIOError, FileNotFoundError):
        os.close(fd)
        raise Unwritable(f"cannot write {path}: another command is writing it") from None
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextmanager
def reading(path: str) -> Generator[Iterator[bytes]]:
    """The lines of a file, or of standard input for `-`. Raises `Unreadable`."""
    name = "standard input" if path == "-" else path
    if path == "-":
        yield _lines(sys.stdin.buffer, name)
        return
    try:
        opened = Path(path).open("rb", buffering=0)  # noqa: SIM115
    except OSError as error:
        raise Unreadable(f"cannot read {name}: {error.strerror}") from None
    with io.BufferedReader(opened, _BUFFER_BYTES) as file:
        yield _lines(file, name)


@contextmanager
def _compressing(file: BinaryIO, suffix: str) -> Generator[Write]:
    if suffix == ".gz":
        # Without a name and a time: the same log gives the same file.
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
            yield packed.write
    elif suffix in (".zst", ".zstd"):
        with (
            _zstandard()
            .ZstdCompressor(level=_ZSTD_LEVEL)
            .stream_writer(file, closefd=False) as packed
        ):
            yield packed.write
    else:
        yield file.write


def _lines(file: Any, name: str) -> Iterator[bytes]:
    magic = file.peek(4)[:4]
    plain: Any = file
    faults: tuple[type[Exception], ...] = (gzip.BadGzipFile, EOFError, zlib.error)
    if magic.startswith(_GZIP):
        plain = gzip.GzipFile(fileobj=file)
    elif magic == _ZSTD:
        zstandard = _zstandard()
        faults = (zstandard.ZstdError,)
        stream = zstandard.ZstdDecompressor().stream_reader(
            file, read_across_frames=True, closefd=False
        )
        plain = io.BufferedReader(stream, _BUFFER_BYTES)
    number = 0
    try:
        while text := plain.readline(_MAX_LINE_BYTES):
            number += 1
            yield text
    except faults:
        raise Unreadable(f"{name}: the data behind line {number} is cut off or damaged") from None
    except OSError as error:
        raise Unreadable(f"cannot read {name}: {error.strerror or error}") from None


def _zstandard() -> Any:
    try:
        import zstandard
    except ModuleNotFoundError:
        raise Unreadable(
            "zstd needs the package zstandard: pip install 'turnlog[cli]', or use .gz"
        ) from None
    return zstandard
