"""Printing what a verification finds, as it is found."""

import json
import time
from collections.abc import Callable
from typing import Any

from turnlog_cli.output import console, one_line, styled
from turnlog_cli.progress import Bar
from turnlog_projector.following import Progress
from turnlog_projector.verify import VerifyProgress, VerifyReport
from turnlog_projector.verify_differences import Difference


class Printer:
    """For people: a line a difference."""

    def __init__(self, *, values: bool) -> None:
        self._values = values
        self.out = console()

    def difference(self, found: Difference) -> None:
        self.out.print(styled(one_line(found.told(values=self._values).line())))

    def report(self, report: VerifyReport) -> None:
        """Tell how a verification ended."""
        rate = report.events / max(report.seconds, 0.001)
        self.out.print(
            styled(f"generation {report.generation} ({report.state}): digest ", "bold").append(
                f"{report.digest}, {report.sessions:,} sessions, {report.events:,} events in"
                f" {report.seconds:.1f} s ({rate:,.0f}/s)"
            )
        )
        if report.digest != report.expected:
            self.out.print(styled(f"the log folds to the digest {report.expected}"))
        if report.differences:
            self.out.print(styled(f"{report.differences:,} differences", "bold red"))
        else:
            self.out.print(styled("it is what the log says"))

    def end(self) -> None:
        """There is nothing more."""


class JsonPrinter(Printer):
    """One document, differences as they are found: there may be more than memory holds."""

    def __init__(self, *, values: bool) -> None:
        super().__init__(values=values)
        self._first = True
        self._reports: list[dict[str, Any]] = []
        print('{"differences": [', end="")

    def difference(self, found: Difference) -> None:
        comma = "" if self._first else ","
        item = found.told(values=self._values)._asdict()
        print(f"{comma}\n{json.dumps(item)}", end="")
        self._first = False

    def report(self, report: VerifyReport) -> None:
        self._reports.append(report._asdict())

    def end(self) -> None:
        print(f'],\n"generations": {json.dumps(self._reports, indent=2)}}}')


def printer(*, values: bool, as_json: bool) -> Printer:
    return (JsonPrinter if as_json else Printer)(values=values)


def verify_teller(bar: Bar) -> Callable[[VerifyProgress], None]:
    """Shows how far a verification is, and how fast."""
    began = time.monotonic()

    def tell(progress: VerifyProgress) -> None:
        rate = progress.events / max(time.monotonic() - began, 0.001)
        detail = f"{progress.events:,} events of {progress.sessions:,} sessions, {rate:,.0f}/s"
        bar.update(progress.events, progress.total or None, detail)

    return tell


def replay_teller(bar: Bar) -> Callable[[Progress], None]:
    """Shows how far a replay or a rollback is."""

    def tell(progress: Progress) -> None:
        counted = f"{progress.done:,} of {progress.total:,} events"
        bar.update(progress.done, progress.total or None, f"{progress.phase}, {counted}")

    return tell
