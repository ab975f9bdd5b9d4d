"""Progress on stderr: a bar on a terminal, now and then a line otherwise."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

_LINE_EVERY_S = 5.0


class Bar:
    """Shows how far something is. `update` may be called as often as one likes."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._next_line = time.monotonic() + _LINE_EVERY_S
        self._progress: Progress | None = None
        if sys.stderr.isatty():
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[detail]}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._progress.add_task(what, total=None, detail="")

    def update(self, done: int, total: int | None, detail: str) -> None:
        """`done` of `total` (None: not known), and what else to tell."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, total=total, detail=detail)
            return
        now = time.monotonic()
        if now >= self._next_line:
            self._next_line = now + _LINE_EVERY_S
            share = f" {100 * done / total:.0f} %" if total else ""
            print(f"{self._what}:{share} {detail}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._progress is not None:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
