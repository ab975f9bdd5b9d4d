"""Where an export goes: one file, standard output, or a folder with a file for each session."""

import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from zlib import crc32

from turnlog_api.exporting import ExportOptions, Output, file_name
from turnlog_cli.archives import Unwritable, Write, writing


class Written:
    """What an export has written so far."""

    def __init__(self) -> None:
        self.sessions = 0
        self.missing: list[str] = []
        self.items = 0
        """Turns, or events."""
        self.bytes = 0
        self.files = 0

    def add(self, output: Output) -> None:
        self.sessions += output.sessions
        self.items += output.items
        self.bytes += len(output.data)
        if output.missing:
            self.missing.append(output.session_id)


def write_file(path: str, outputs: Iterable[Output], written: Written) -> Generator[Written]:
    """Write one file, which appears under its name when it is whole; `-` is standard output. Yields
    after each piece. Raises `Unwritable`."""
    with writing(path) as write:
        for output in outputs:
            write(output.data)
            written.add(output)
            yield written
    written.files += 1


def write_folder(
    path: Path, options: ExportOptions, outputs: Iterable[Output], written: Written
) -> Generator[Written]:
    """Write a file for each session into a new folder, which appears when it is whole. Yields after
    each piece. Raises `Unwritable`, also when there is something in the folder already."""
    with _new_folder(path) as folder, ExitStack() as opened:
        session_id = ""
        write: Write | None = None
        for output in outputs:
            if output.session_id and not output.missing:
                if output.session_id != session_id:
                    opened.close()
                    session_id = output.session_id
                    write = opened.enter_context(_new_file(folder, options, session_id))
                    written.files += 1
                assert write is not None
                write(output.data)
            written.add(output)
            yield written


@contextmanager
def _new_folder(path: Path) -> Generator[Path]:
    part = path.with_name(path.name + ".part")
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise Unwritable(f"cannot write {path}: it holds something already; name a new folder")
        if part.exists():
            shutil.rmtree(part)
        part.mkdir(mode=0o700)
        try:
            yield part
            part.replace(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise Unwritable(f"cannot write {path}: {error.strerror or error}") from None


@contextmanager
def _new_file(folder: Path, options: ExportOptions, session_id: str) -> Generator[Write]:
    target = folder / file_name(options, session_id)
    if target.exists():  # where capital letters are not told from small ones
        other = f"{session_id}.{crc32(session_id.encode()):08x}"
        target = folder / file_name(options, other)
    with target.open("xb") as file:
        yield file.write
        file.flush()
        os.fsync(file.fileno())
