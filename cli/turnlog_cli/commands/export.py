"""`turnlog export`."""

from collections.abc import Generator
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from psycopg import IsolationLevel

from turnlog_api.exporting import LARGE, Chosen, ExportOptions, export, run
from turnlog_api.exportqueries import Total, export_total
from turnlog_api.exportwork import AsReader
from turnlog_api.queries import Filters
from turnlog_api.scope import Scope
from turnlog_cli.exported import Written, write_file, write_folder
from turnlog_cli.interrupting import sigterm_interrupts
from turnlog_cli.options import DataDir, Json, PostgresUrl, Tenant
from turnlog_cli.output import one_line, print_json, say, size
from turnlog_cli.progress import Bar
from turnlog_cli.servers import postgres_only
from turnlog_projector.database import check_schema, connect_postgres
from turnlog_schemas import times
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.ids import DEFAULT_TENANT, check_id

_NAMED = 10


class FileFormat(StrEnum):
    """What is written."""

    jsonl = "jsonl"
    json = "json"
    csv = "csv"
    md = "md"


class Delimiter(StrEnum):
    """What stands between the cells of csv."""

    comma = "comma"
    semicolon = "semicolon"
    tab = "tab"


class Branches(StrEnum):
    """Which turns."""

    shown = "shown"
    all = "all"


def export_(
    sessions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SESSION]...",
            help="These sessions; without any, all that the filters leave.",
            show_default=False,
        ),
    ] = None,
    format_: Annotated[
        FileFormat,
        typer.Option(
            "--format",
            "-f",
            help="jsonl is the log, which `turnlog import` reads back; json one document; csv for"
            " spreadsheets; md to be read.",
        ),
    ] = FileFormat.jsonl,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Plain, or .gz, or .zst; - is standard output. With md also a folder (NAME/): a"
            " file for each session.",
        ),
    ] = "-",
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Sessions of this user.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="Of this project.")
    ] = None,
    archived: Annotated[
        bool | None,
        typer.Option("--archived/--not-archived", help="Archived ones only, or none of them."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Updated at or after this time.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Updated before this time.")
    ] = None,
    branches: Annotated[
        Branches,
        typer.Option("--branches", help="Turns of the branch that is shown, or of all."),
    ] = Branches.shown,
    annotations: Annotated[
        bool,
        typer.Option("--annotations", help="Ratings, reactions and comments in csv and md, too."),
    ] = False,
    delimiter: Annotated[
        Delimiter, typer.Option("--delimiter", help="Of csv: what the spreadsheet expects.")
    ] = Delimiter.comma,
    whole_cells: Annotated[
        bool,
        typer.Option("--whole-cells", help="Of csv: do not cut cells at 32,767 characters."),
    ] = False,
    tenant: Tenant = DEFAULT_TENANT,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Export sessions into a file, all as they are at one moment.

    It reads Postgres, as far as the log is projected. The file appears when it is whole. The exit
    code is 1 when a session that is named is missing.

    \b
    Example:
      turnlog export --format csv --user u-1 --output chats.csv
    """
    filters = Filters(user, project, archived, _time(since), _time(until))
    named = tuple(dict.fromkeys(sessions or ()))
    _check(tenant, named, filters, output, format_, as_json=as_json)
    options = ExportOptions(
        format_.value,
        branches.value,
        annotations,
        delimiter.value,
        whole_cells,
    )
    url = postgres_only(postgres_url, data_dir)
    written = Written()
    with (
        Bar("export") as bar,
        sigterm_interrupts(),
        # Closed, so that Ctrl-C leaves no piece of a file behind, wherever it strikes.
        closing(_export(url, tenant, Chosen(filters, named), options, output, written)) as pieces,
    ):
        for total in pieces:
            done = f"{written.sessions:,} of {total.sessions:,} sessions, {size(written.bytes)}"
            bar.update(written.sessions, total.sessions or None, done)
    _tell(written, options, output, as_json=as_json)
    raise typer.Exit(1 if written.missing else 0)


def _export(
    url: str, tenant: str, chosen: Chosen, options: ExportOptions, output: str, written: Written
) -> Generator[Total]:
    """Yields how much there is in all, after each piece."""
    with connect_postgres(url, application_name="turnlog export") as connection:
        check_schema(connection)
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        scope = Scope(tenant)
        with connection.transaction():
            ask = AsReader(connection)
            if chosen.session_ids:
                total = Total(len(chosen.session_ids), 0, 0)
            else:
                total = ask(export_total(scope, chosen.filters))
            outputs = run(export(scope, chosen, options, LARGE), ask)
            if _is_folder(output, options.format):
                steps = write_folder(Path(output), options, outputs, written)
            else:
                steps = write_file(output, outputs, written)
            with closing(steps):
                for _ in steps:
                    yield total


def _tell(written: Written, options: ExportOptions, output: str, *, as_json: bool) -> None:
    if written.missing:
        names = ", ".join(one_line(name) for name in written.missing[:_NAMED])
        more = len(written.missing) - _NAMED
        say(f"turnlog: no such session: {names}" + (f" and {more} more" if more > 0 else ""))
    if as_json:
        report: dict[str, Any] = {"format": options.format, "output": output, **vars(written)}
        print_json(report)
        return
    what = "events" if options.format == "jsonl" else "turns"
    text = f"{written.sessions:,} sessions, {written.items:,} {what}, {size(written.bytes)}"
    if output == "-":
        if written.sessions != 1 or written.missing:
            say(text)
    else:
        print(f"{text}: {output}")


def _check(
    tenant: str,
    named: tuple[str, ...],
    filters: Filters,
    output: str,
    format_: FileFormat,
    *,
    as_json: bool,
) -> None:
    """Refuse what makes no sense, before anything begins."""
    try:
        check_id(tenant, "--tenant")
        for session_id in named:
            check_id(session_id, "SESSION")
    except InvalidEvent as error:
        raise typer.BadParameter(str(error)) from None
    if named and any(value is not None for value in filters):
        raise typer.BadParameter("filters go without SESSION: name sessions, or filter them")
    if output == "-" and as_json:
        raise typer.BadParameter("--json needs --output FILE: the data has standard output")
    if (output.endswith("/") or Path(output).is_dir()) and format_ is not FileFormat.md:
        raise typer.BadParameter("--output: a folder goes with --format md")


def _is_folder(output: str, format_: str) -> bool:
    return format_ == "md" and (output.endswith("/") or Path(output).is_dir())


def _time(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return times.normalise(value)
    except InvalidEvent as error:
        raise typer.BadParameter(str(error).removeprefix("at: ")) from None
