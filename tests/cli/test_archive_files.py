"""The files that dumps are written to."""

import os
import stat
import threading
from pathlib import Path

import pytest

from turnlog_cli.archives import Unwritable, writing


def test_two_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    """Else the one that ends first would give its name to what the other has written so far."""
    path = tmp_path / "log.jsonl"
    with writing(str(path)) as write:
        write(b"the first, ")
        with pytest.raises(Unwritable, match="another command is writing it"), writing(str(path)):
            pass
        write(b"whole")
    assert path.read_bytes() == b"the first, whole"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_one_has_left_is_written_over(tmp_path: Path) -> None:
    left = tmp_path / "log.jsonl.part"
    left.write_bytes(b"half of a former one")
    left.chmod(0o644)
    with writing(str(tmp_path / "log.jsonl")) as write:
        write(b"whole")
    assert (tmp_path / "log.jsonl").read_bytes() == b"whole"
    assert stat.S_IMODE((tmp_path / "log.jsonl").stat().st_mode) == 0o600
    assert not left.exists()


def test_a_pipe_is_written_and_stays_one(tmp_path: Path) -> None:
    """Renaming a file over it, as over /dev/null, would take it away from everybody."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()), daemon=True)
    reader.start()
    with writing(str(path)) as write:
        write(b"whole")
    assert path.is_fifo()
    reader.join(10)
    assert found == [b"whole"]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unwritable, match="Is a directory"), writing(str(tmp_path)):
        pass
