"""Lines of a file or of standard input, plain or gzip, one at a time."""

import asyncio
import contextlib
import gzip
import io
import os
import stat
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, cast

from turnlog_schemas.errors import TurnlogError

MAX_LINE_BYTES = 64 * 1024 * 1024
_LINES_AHEAD = 64
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


class Unreadable(TurnlogError):
    """A file that cannot be opened, or whose compressed data is damaged."""


class Line(NamedTuple):
    """A line that is not blank; `text` is None for one that is longer than 64 MiB."""

    number: int
    """From 1."""
    text: bytes | None


class LineReader:
    """Reads `path`, or standard input for `-`. What is gzip is told by its content."""

    def __init__(self, path: str) -> None:
        self._path = "standard input" if path == "-" else path
        self._owned = path != "-"
        try:
            file = sys.stdin.buffer if path == "-" else Path(path).open("rb")  # noqa: SIM115
            mode = os.fstat(file.fileno())
            self._source = _Counted(cast(io.BufferedReader, file))
        except OSError as error:
            raise Unreadable(f"cannot read {path}: {error.strerror}") from None
        self.total: int | None = mode.st_size if stat.S_ISREG(mode.st_mode) else None
        """Bytes of the file as it lies there; None when that is not known."""

    async def lines(self) -> AsyncIterator[Line]:
        """The same as iterating, read by a thread of its own: a pipe may be silent for long, and
        what was read before must not wait for it."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Line | Exception | None] = asyncio.Queue()
        ahead = _Ahead()

        def read() -> None:
            end: Exception | None = None
            with contextlib.suppress(RuntimeError):  # the loop has ended, nobody wants more
                try:
                    for line in self:
                        ahead.add(line)
                        loop.call_soon_threadsafe(queue.put_nowait, line)
                except (Unreadable, ValueError) as error:
                    end = error
                loop.call_soon_threadsafe(queue.put_nowait, end)

        # A daemon, so that a silent pipe does not hold up the end of the process.
        threading.Thread(target=read, name="turnlog lines", daemon=True).start()
        while True:
            found = await queue.get()
            if isinstance(found, Exception):
                raise found
            if found is None:
                return
            ahead.remove(found)
            yield found

    @property
    def done(self) -> int:
        """Bytes taken of `total`."""
        return self._source.count

    def __iter__(self) -> Iterator[Line]:
        """Every line that is not blank. Raises `Unreadable` where the data ends too early."""
        number = 0
        try:
            lines = self._opened()
            while text := lines.readline(MAX_LINE_BYTES + 1):
                number += 1
                if number == 1:
                    text = text.removeprefix(_BOM)
                if len(text) > MAX_LINE_BYTES and not text.endswith(b"\n"):
                    self._skip_rest(lines)
                    yield Line(number, None)
                elif not text.isspace() and text:
                    yield Line(number, text)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise Unreadable(
                f"{self._path}: the gzip data behind line {number} is cut off or damaged"
            ) from None
        except OSError as error:
            raise Unreadable(f"cannot read {self._path}: {error.strerror or error}") from None

    def _opened(self) -> io.BufferedIOBase:
        plain = io.BufferedReader(self._source, 256 * 1024)
        if self._source.head == _GZIP:
            return gzip.GzipFile(fileobj=plain, mode="rb")
        return plain

    @staticmethod
    def _skip_rest(lines: io.BufferedIOBase) -> None:
        while (rest := lines.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
            pass

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._source.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Ahead:
    """Bounds what was read and not yet taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines = 0
        self._bytes = 0

    def add(self, line: Line) -> None:
        """Count a line in; waits while there are too many."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._lines < _LINES_AHEAD and self._bytes < MAX_LINE_BYTES
            )
            self._lines += 1
            self._bytes += len(line.text or b"")

    def remove(self, line: Line) -> None:
        """Count a line out."""
        with self._changed:
            self._lines -= 1
            self._bytes -= len(line.text or b"")
            self._changed.notify()


class _Counted(io.RawIOBase):
    """A file whose first two bytes were looked at, and what was read of it counted: a pipe can
    neither go back nor tell where it is."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.file = file
        self.count = 0
        self.head = file.read(2)
        self._given = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not self._given and self.head:
            self._given = True
            piece = self.head
        else:
            # read1: what a pipe holds now, so that lines arrive when they are written.
            piece = self.file.read1(len(buffer))
        self.count += len(piece)
        buffer[: len(piece)] = piece
        return len(piece)
