"""`turnlog status`."""

import asyncio
import logging
from typing import Annotated, Any

import psycopg
import typer

from turnlog_api.logreads import LogReads
from turnlog_api.queries import active_generation
from turnlog_api.reading import Reader
from turnlog_api.redislink import RedisLink
from turnlog_api.status import read_status
from turnlog_cli.instance import ServerUrls
from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl
from turnlog_cli.output import ago, console, one_line, print_json, say, size, styled
from turnlog_cli.servers import both, masked
from turnlog_projector.database import connect_postgres, scalar
from turnlog_projector.settings import Settings, load
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.errors import TurnlogError

_TOP = 5


def status(
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    partitions: Annotated[
        bool, typer.Option("--partitions", help="List every partition that is behind.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show servers, log, lag, sizes and healings; exit code 1 when something is wrong.

    Wrong is: a server does not answer, they belong to different logs, Redis may evict, no projector
    works, a session is parked or quarantined, events were lost within a week. What to do is said on
    stderr. With --json the addresses hold the passwords.

    \b
    Example:
      turnlog status --json
    """
    urls = both(redis_url, postgres_url, data_dir)
    lease_seconds = load(Settings).lease_seconds
    found = asyncio.run(_ask(urls))
    counts = _counts(urls.postgres_url, lease_seconds)
    found["workers"] = counts["workers"]
    found["totals"]["turns"] = counts["turns"]
    wrong = _wrong(found)
    if as_json:
        print_json({**urls._asdict(), **found, "wrong": wrong})
    else:
        _print(urls, found, top=None if partitions else _TOP)
    for line in wrong:
        say(f"turnlog: {line}")
    raise typer.Exit(1 if wrong else 0)


async def _ask(urls: ServerUrls) -> dict[str, Any]:
    # The pool logs every attempt to connect; we report the outcome.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    link = RedisLink(urls.redis_url)
    reader = Reader(urls.postgres_url, size=1)
    await reader.open()
    try:
        return await read_status(LogReads(link, None), reader)
    finally:
        await reader.close()
        await link.close()


def _counts(url: str, lease_seconds: float) -> dict[str, int | None]:
    """Workers that are alive, and visible turns; None when Postgres does not tell."""
    try:
        with connect_postgres(url, application_name="turnlog status") as connection:
            alive = connection.execute(statement("workers_alive"), {"lease": lease_seconds})
            workers = len(alive.fetchall())
            generation = active_generation(connection)
            turns = scalar(
                connection, statement("turns", generation=generation, package="turnlog_cli")
            )
            return {"workers": workers, "turns": turns}
    except (TurnlogError, psycopg.Error):
        return {"workers": None, "turns": None}


def _wrong(found: dict[str, Any]) -> list[str]:
    """What an operator has to do something about, a line each."""
    wrong: list[str] = list(found["advice"])
    if found["workers"] == 0 and not found["stopped"]:
        wrong.append("no projector works: start `turnlog projector`")
    return wrong


def _search(search: dict[str, Any] | None) -> str | None:
    if search is None:
        return None
    seconds, again = search["seconds_behind"], search["sessions_behind"]
    line = f"{search['events_behind']:,} events behind the read models, {size(search['bytes'])}"
    if seconds:
        line += f", for {seconds:.1f} s"
    return line + (f", {again:,} sessions made anew" if again else "")


def _print(urls: ServerUrls, found: dict[str, Any], *, top: int | None) -> None:
    totals, redis, postgres, lag = (found[k] for k in ("totals", "redis", "postgres", "lag"))
    log_id = found["log_id"]
    archived = None if postgres["error"] else totals["events_archived"]
    about = "" if lag["exact"] else "at least "
    lines = [
        ("api", urls.api_url or "not known here"),
        ("redis", _server(urls.redis_url, redis, f"{size(redis['used_memory_bytes'])} in memory")),
        (
            "postgres",
            _server(urls.postgres_url, postgres, f"{size(postgres['database_bytes'])} on disk"),
        ),
        ("log", log_id and f"{log_id}, {len(found['partitions'])} partitions"),
        ("generation", found["generation"]),
        ("workers", found["workers"]),
        ("lag", None if lag["events"] is None else f"{about}{lag['events']:,} events"),
        ("search", _search(found["search"])),
        ("sessions", _count(totals["sessions"])),
        ("turns", _count(totals["turns"])),
        (
            "archive",
            f"{_count(archived)} events, {size(postgres['archive_bytes'])}",
        ),
        ("read models", size(postgres["read_model_bytes"])),
        (
            "parked",
            f"{_count(totals['parked'])}, {_count(totals['quarantined'])} of them quarantined; "
            f"{_count(totals['skipped'])} skipped",
        ),
        ("healings", _healings(found["healings"])),
        ("audited", f"all since {ago(found['audited_since'])}" if found["audited_since"] else None),
    ]
    out = console()
    for name, value in lines:
        out.print(
            styled(f"{name:<12}", "bold").append(one_line(str("?" if value is None else value)))
        )
    behind = [lag for lag in found["partitions"] if lag["events_behind"]]
    behind.sort(key=lambda lag: -lag["events_behind"])
    for lag in behind[:top]:
        line = (
            f"{lag['events_behind']:,} events behind (index {lag['index_end']}, at {lag['offset']})"
        )
        out.print(styled(f"  partition {lag['partition']}: {line}", "yellow"))
    if top is not None and len(behind) > top:
        out.print(styled(f"  and {len(behind) - top} more: --partitions lists them", "dim"))


def _server(url: str, state: dict[str, Any], detail: str) -> str:
    if state["error"]:
        return f"{masked(url)}  DOWN"
    return f"{masked(url)}  version {state['version']}, {detail}"


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _healings(found: dict[str, Any] | None) -> str | None:
    if found is None:
        return None
    count = found["streams"] + found["entries"] + found["indexes"]
    if not count:
        return "0"
    newest = found["newest"]
    return (
        f"{count:,}, of events {found['events_restored']:,} restored, {found['events_moved']:,} "
        f"moved, {found['events_lost']:,} lost; the newest {ago(newest['at'])} "
        f"({newest['reason']})"
    )
