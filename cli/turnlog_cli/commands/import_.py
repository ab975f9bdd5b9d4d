"""`turnlog import`."""

import asyncio
import logging
from enum import StrEnum
from typing import Annotated, Any

import typer

from turnlog_cli.imported import Imported
from turnlog_cli.importing import Counts, Fault, Importer
from turnlog_cli.instance import ServerUrls
from turnlog_cli.lines import LineReader, Unreadable
from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl, Tenant
from turnlog_cli.output import one_line, print_json
from turnlog_cli.progress import Bar
from turnlog_cli.servers import redis_at_least
from turnlog_producers import AsyncTurnLog
from turnlog_projector.settings import Settings, load
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.ids import DEFAULT_TENANT, check_id

_FAULTS_KEPT = 1000


class Format(StrEnum):
    """What the lines are."""

    openai = "openai"


def import_(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON lines, plain or gzip; - is stdin.")
    ],
    format_: Annotated[
        Format, typer.Option("--format", help="What a line is: a conversation in OpenAI's form.")
    ] = Format.openai,
    tenant: Tenant = DEFAULT_TENANT,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Import conversations; what the log has already is not added again.

    A line is {"id", "user", "messages": [...], "metadata"?, "created_at"?, "title"?}. Bad lines are
    named on stderr and left out; the exit code then is 1. A broken run is simply run again.

    \b
    Example:
      turnlog import conversations.jsonl.gz --tenant acme
    """
    assert format_ is Format.openai
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

        counts, broken = asyncio.run(_import(lines, bar, urls, tenant, tell_fault))
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
    lines: LineReader, bar: Bar, urls: ServerUrls, tenant: str, tell_fault: Any
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
    importer = Importer(
        log.session,
        imported,
        tenant=tenant,
        max_event_bytes=settings.max_event_bytes,
        tell_fault=tell_fault,
    )
    broken: str | None = None
    try:
        async for line in lines.lines():
            await importer.take(line)
            bar.update(lines.done, lines.total, _detail(importer.counts))
    except Unreadable as error:
        broken = str(error)
    await importer.finish()
    # Not in a `finally`: after Ctrl-C nothing waits for a server that may not answer.
    await log.close()
    imported.close()
    return importer.counts, broken


def _detail(counts: Counts) -> str:
    there = counts.turns_already_there
    already = f", {there:,} already there" if there else ""
    return f"{counts.lines:,} lines, {counts.sessions:,} sessions, {counts.turns:,} turns{already}"


def _summary(counts: Counts) -> str:
    lines = [
        f"sessions       {counts.sessions:,}",
        f"turns          {counts.turns:,}",
        f"already there  {counts.sessions_already_there:,} sessions,"
        f" {counts.turns_already_there:,} turns",
        f"bad lines      {counts.bad_lines:,}",
    ]
    return "\n".join(lines)
