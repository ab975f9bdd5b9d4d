"""`turnlog import`."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic_core import from_json

from turnlog_cli.imported import Imported
from turnlog_cli.importing import Counts, Fault, Importer
from turnlog_cli.importing_events import EventImporter
from turnlog_cli.instance import ServerUrls
from turnlog_cli.lines import Line, LineReader, Unreadable
from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl, Tenant
from turnlog_cli.output import one_line, print_json
from turnlog_cli.progress import Bar
from turnlog_cli.servers import redis_at_least
from turnlog_producers import AsyncTurnLog
from turnlog_projector.settings import Settings, load
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.exportlines import is_line
from turnlog_schemas.ids import DEFAULT_TENANT, check_id

_FAULTS_KEPT = 1000


class Format(StrEnum):
    """What the lines are."""

    auto = "auto"
    openai = "openai"
    turnlog = "turnlog"


def import_(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON lines, plain or gzip; - is stdin.")
    ],
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="What a line is: a conversation in OpenAI's form, or an event of `turnlog export`;"
            " auto looks at the first line.",
        ),
    ] = Format.auto,
    tenant: Tenant = DEFAULT_TENANT,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Import conversations, or an export; what the log has already is not added again.

    A line is {"id", "user", "messages": [...], "metadata"?, "created_at"?, "title"?}, or what
    `turnlog export --format jsonl` has written. Bad lines are named on stderr and left out; the
    exit code then is 1. A broken run is simply run again.

    \b
    Example:
      turnlog import conversations.jsonl.gz --tenant acme
    """
    try:
        check_id(tenant, "--tenant")
    except InvalidEvent as error:
        raise typer.BadParameter(str(error)) from None
    urls = redis_at_least(redis_url, postgres_url, data_dir)
    faults: list[Fault] = []
    with LineReader(file) as lines, Bar("import") as bar:

        def tell_fault(fault: Fault) -> None:
            if len(faults) < _FAULTS_KEPT:
                faults.append(fault)
            bar.say(f"line {fault.line}: {one_line(fault.reason)}")

        counts, broken = asyncio.run(_import(lines, bar, urls, tenant, format_, tell_fault))
        if broken is not None:
            bar.say(broken)
    if as_json:
        found: dict[str, Any] = dict(vars(counts))
        found["faults"] = [fault._asdict() for fault in faults]
        print_json(found | {"broken": broken})
    else:
        print(_summary(counts))
    raise typer.Exit(1 if counts.bad_lines or broken else 0)


async def _import(
    lines: LineReader,
    bar: Bar,
    urls: ServerUrls,
    tenant: str,
    format_: Format,
    tell_fault: Callable[[Fault], None],
) -> tuple[Counts, str | None]:
    """The counts, and why the file could not be read to its end, if so."""
    # It says each time that it sends again; here the error at the end is enough.
    logging.getLogger("turnlog_producers").setLevel(logging.ERROR)
    settings = load(Settings)
    imported = Imported(urls.redis_url, urls.postgres_url, tenant)
    log = AsyncTurnLog.connect(
        urls.redis_url,
        tenant=tenant,
        partitions=settings.partitions,
        max_event_bytes=settings.max_event_bytes,
    )

    def importing(kind: type[Importer]) -> Importer:
        return kind(
            log.session,
            imported,
            tenant=tenant,
            max_event_bytes=settings.max_event_bytes,
            tell_fault=tell_fault,
        )

    importer: Importer | None = None
    broken: str | None = None
    try:
        async for line in lines.lines():
            importer = importer or importing(_importer_for(format_, line))
            await importer.take(line)
            bar.update(lines.done, lines.total, _detail(importer.counts))
    except Unreadable as error:
        broken = str(error)
    importer = importer or importing(Importer)
    await importer.finish()
    # Not in a `finally`: after Ctrl-C nothing waits for a server that may not answer.
    await log.close()
    imported.close()
    return importer.counts, broken


def _importer_for(format_: Format, first: Line) -> type[Importer]:
    if format_ is Format.auto:
        value: Any = None
        with suppress(ValueError):
            value = from_json(first.text or b"")
        return EventImporter if is_line(value) else Importer
    return EventImporter if format_ is Format.turnlog else Importer


def _taken(counts: Counts) -> tuple[str, int, int]:
    """What was imported, how many are new and how many were there."""
    if counts.events or counts.events_already_there:
        return "events", counts.events, counts.events_already_there
    return "turns", counts.turns, counts.turns_already_there


def _detail(counts: Counts) -> str:
    what, new, there = _taken(counts)
    already = f", {there:,} already there" if there else ""
    return f"{counts.lines:,} lines, {counts.sessions:,} sessions, {new:,} {what}{already}"


def _summary(counts: Counts) -> str:
    what, new, there = _taken(counts)
    lines = [
        f"sessions       {counts.sessions:,}",
        f"{what:<14} {new:,}",
        f"already there  {counts.sessions_already_there:,} sessions, {there:,} {what}",
        f"bad lines      {counts.bad_lines:,}",
    ]
    return "\n".join(lines)
