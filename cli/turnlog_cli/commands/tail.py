"""`turnlog tail`."""

from datetime import datetime
from typing import Annotated, Any

import typer
from pydantic_core import from_json

from turnlog_cli.follow import Followed, Follower
from turnlog_cli.options import DataDir, Json, PostgresUrl, RedisUrl
from turnlog_cli.output import console, one_line, print_json_line, say, styled
from turnlog_cli.servers import redis_at_least
from turnlog_schemas import text, times
from turnlog_schemas.codec import decode
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.ids import DEFAULT_TENANT

_PREVIEW = 80


def tail(
    session: Annotated[
        str | None, typer.Option("--session", help="Follow this session only.")
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant",
            envvar="TURNLOG_TENANT",
            help="Follow this tenant only.",
            show_default="all tenants",
        ),
    ] = None,
    redis_url: RedisUrl = None,
    postgres_url: PostgresUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Follow the log: a line for each new event of any session, until Ctrl-C.

    With --json a line is the stored event and tenant, session_id, seq and recorded_at.

    \b
    Example:
      turnlog tail --session s-42
    """
    if session is not None and tenant is None:
        tenant = DEFAULT_TENANT
    urls = redis_at_least(redis_url, postgres_url, data_dir)
    out = console()
    follower = Follower(urls.redis_url, tell=say, postgres_url=urls.postgres_url)
    say("following from now on; Ctrl-C ends it")
    for found in follower.events(tenant, session):
        if as_json:
            print_json_line(_as_json(found))
        else:
            out.print(styled(_line(found, all_tenants=tenant is None)))


def _as_json(found: Followed) -> dict[str, Any]:
    try:
        event: object = from_json(found.event.raw)
    except ValueError:
        event = None
    place = {
        "tenant": found.key.tenant,
        "session_id": found.key.session_id,
        "seq": found.event.seq,
        "recorded_at": times.from_ms(found.event.recorded_at),
    }
    return {**place, "event": event}


def _line(found: Followed, *, all_tenants: bool) -> str:
    stored, key = found.event, found.key
    name = f"{key.tenant}:{key.session_id}" if all_tenants else key.session_id
    local = datetime.fromisoformat(times.from_ms(stored.recorded_at)).astimezone()
    head = f"{local:%H:%M:%S}  {name}  {stored.seq}"
    try:
        event = decode(
            stored.raw,
            tenant=key.tenant,
            session_id=key.session_id,
            seq=stored.seq,
            recorded_at=stored.recorded_at,
        )
    except InvalidEvent:
        return f"{head}  (not readable)"
    data = event.data
    about = data.get("role"), data.get("kind"), data.get("title"), data.get("reason")
    words = [word for word in about if isinstance(word, str)]
    preview = one_line(text.preview(data.get("content")))
    if not preview and data.get("tool_calls"):
        preview = f"→ {len(data['tool_calls'])} tool calls"
    if len(preview) > _PREVIEW:
        preview = preview[:_PREVIEW] + "…"
    return one_line("  ".join([event.type, *words, preview])).join((head + "  ", ""))
