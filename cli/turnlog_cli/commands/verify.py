"""`turnlog verify`."""

import json
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl, Tenant
from turnlog_cli.output import console, one_line, styled
from turnlog_cli.progress import Bar
from turnlog_cli.servers import both, postgres_only
from turnlog_projector.verify import VerifyProgress, VerifyReport
from turnlog_projector.verify import verify as run_verify
from turnlog_projector.verify_differences import Difference
from turnlog_schemas.ids import DEFAULT_TENANT


def verify(
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION", help="This session alone.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, metavar="N", help="N sessions by chance.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every session; so it is without an option.")
    ] = False,
    generation: Annotated[
        list[str] | None,
        typer.Option(
            "--generation",
            metavar="N",
            help="A generation, by number or name; give it again for another one.",
            show_default="the live one",
        ),
    ] = None,
    values: Annotated[
        bool,
        typer.Option("--values", help="Print texts too, instead of their length and a short hash."),
    ] = False,
    without_streams: Annotated[
        bool, typer.Option("--archive-only", help="Leave the streams in Redis alone.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            min=1,
            help="How many fold at the same time.",
            show_default="one a core",
        ),
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Fold the log afresh and compare it with the read models; prints digests and differences.

    Appends and reads go on meanwhile. Exit code 1 when anything differs.

    \b
    Example:
      turnlog verify --sample 1000
    """
    if (session is not None) + (sample is not None) + everything > 1:
        raise typer.BadParameter("--session, --sample and --all exclude each other")
    if without_streams:
        urls = postgres_only(postgres_url, data_dir), None
    else:
        servers = both(redis_url, postgres_url, data_dir)
        urls = servers.postgres_url, servers.redis_url
    printer = _JsonPrinter(values) if as_json else _Printer(values)
    reports: list[VerifyReport] = []
    for wanted in generation or [None]:
        with Bar("verify") as bar:
            report = run_verify(
                *urls,
                tell=_teller(bar),
                report=printer.difference,
                generation=wanted,
                session=(tenant, session) if session is not None else None,
                sample=sample,
                processes=processes,
            )
        printer.report(report)
        reports.append(report)
    printer.end()
    raise typer.Exit(1 if any(report.differences for report in reports) else 0)


def _teller(bar: Bar) -> Callable[[VerifyProgress], None]:
    began = time.monotonic()

    def tell(progress: VerifyProgress) -> None:
        rate = progress.events / max(time.monotonic() - began, 0.001)
        detail = f"{progress.events:,} events of {progress.sessions:,} sessions, {rate:,.0f}/s"
        bar.update(progress.events, progress.total or None, detail)

    return tell


class _Printer:
    """For people: a line a difference, as it is found."""

    def __init__(self, values: bool) -> None:
        self._values = values
        self._out = console()

    def difference(self, found: Difference) -> None:
        self._out.print(styled(one_line(found.told(values=self._values).line())))

    def report(self, report: VerifyReport) -> None:
        rate = report.events / max(report.seconds, 0.001)
        self._out.print(
            styled(f"generation {report.generation} ({report.state}): digest ", "bold").append(
                f"{report.digest}, {report.sessions:,} sessions, {report.events:,} events in"
                f" {report.seconds:.1f} s ({rate:,.0f}/s)"
            )
        )
        if report.digest != report.expected:
            self._out.print(styled(f"the log folds to the digest {report.expected}"))
        if report.differences:
            self._out.print(styled(f"{report.differences:,} differences", "bold red"))
        else:
            self._out.print(styled("it is what the log says"))

    def end(self) -> None:
        pass


class _JsonPrinter:
    """One document, differences as they are found: there may be more than memory holds."""

    def __init__(self, values: bool) -> None:
        self._values = values
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
