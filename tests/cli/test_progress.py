"""Progress: a bar on a terminal, counted lines elsewhere, and never a trace of either on stdout."""

import fcntl
import json
import os
import re
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_running import COMMAND, Turnlog
from servers import wait_until

from turnlog_cli import progress

pytestmark = pytest.mark.integration
ESCAPE = "\x1b"


def conversation(number: int) -> str:
    messages = [{"role": "user", "content": "How is revenue?"}, {"role": "assistant"}]
    return json.dumps({"id": f"s-{number}", "messages": messages}) + "\n"


class Terminal:
    """A terminal of 100 columns that a process writes to."""

    def __init__(self, outside: int) -> None:
        self._outside = outside
        self._shown = b""
        os.set_blocking(outside, False)

    def shown(self) -> str:
        """Everything that was written to it so far, control sequences and all."""
        try:
            while piece := os.read(self._outside, 65536):
                self._shown += piece
        except BlockingIOError:  # nothing more at the moment
            return self._shown.decode()
        except OSError:  # nobody has it open any more
            return self._shown.decode()
        return self._shown.decode()


@contextmanager
def on_terminal(
    turnlog: Turnlog, *arguments: str
) -> Iterator[tuple[subprocess.Popen[str], Terminal]]:
    """The command with its stderr on a terminal, and pipes elsewhere."""
    outside, inside = os.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    unset = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    environment = {k: v for k, v in turnlog.environment.items() if k not in unset}
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=inside,
        env={**environment, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"},
        text=True,
    )
    os.close(inside)
    try:
        with process:
            try:
                yield process, Terminal(outside)
            finally:
                process.kill()
    finally:
        os.close(outside)


def test_a_terminal_shows_a_bar_while_it_goes_on(turnlog: Turnlog) -> None:
    with on_terminal(turnlog, "import", "-", "--json") as (process, terminal):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(conversation(1) + "no json\n" + conversation(2))
        process.stdin.flush()
        wait_until(lambda: "3 lines" in terminal.shown(), "the bar counts", timeout_s=60)
        assert "━" in terminal.shown()
        assert ESCAPE in terminal.shown()
        process.stdin.write(conversation(3))
        process.stdin.close()
        out = process.stdout.read()
        assert process.wait(timeout=60) == 1
        shown = terminal.shown()
    assert re.search(r"line 2: no JSON[^\r\n]*\r\n", shown), shown
    assert shown.endswith(f"{ESCAPE}[2K"), shown  # the bar has gone
    assert ESCAPE not in out
    assert json.loads(out)["sessions"] == 3


def test_without_a_terminal_lines_count(
    turnlog: Turnlog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    file = tmp_path / "chats.jsonl"
    file.write_text("".join(conversation(number) for number in range(4)))
    ran = turnlog("import", file, "--json")
    assert ran.code == 0, ran.err
    assert [re.sub(r"sessions.*", "sessions", line) for line in ran.err.splitlines()] == [
        f"import: 100 % {number} lines, 0 sessions" for number in range(1, 5)
    ]
    assert ran.json["sessions"] == 4


def test_a_replay_tells_its_phases(turnlog: Turnlog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    ran = turnlog("replay", "--json")
    assert ran.code == 0, ran.err
    assert "replay: " in ran.err
    assert ESCAPE not in ran.err


def test_what_is_quick_says_nothing(turnlog: Turnlog, tmp_path: Path) -> None:
    file = tmp_path / "chats.jsonl"
    file.write_text(conversation(1))
    assert turnlog("import", file).err == ""
