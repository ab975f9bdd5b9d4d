"""Search: what is asked of Postgres, and the answer made of its rows.

Postgres finds, checks who may see what, and sorts; the snippets are cut here, from the turn as it
stands. A hit whose text does not answer the query any more (it was edited, and the index is behind)
is left out, so a page may hold fewer items than asked for.
"""

import asyncio
from typing import Any, NamedTuple, cast

from psycopg.types.numeric import Int4, Int8
from pydantic_core import from_json

from turnlog_api.queries import Query
from turnlog_api.rows import Rows
from turnlog_api.scope import Scope
from turnlog_schemas import times
from turnlog_schemas.searchquery import Query as Words
from turnlog_schemas.searchquery import tsquery
from turnlog_schemas.searchtext import Kind, kind_letters, kind_of, searched_text
from turnlog_schemas.snippets import snippet

CANDIDATES = 1000
"""At most so many hits are ranked: the newest ones."""

COMMON_ROWS = 5000.0
"""Words that are in more rows are looked for from the newest row on, instead of by the index."""

LOOKED_AT_ROWS = 20_000
"""So many rows at most; then the index is asked after all."""

_THREAD_BYTES = 256 * 1024


class SearchFilters(NamedTuple):
    """Where to look; None does not filter. `since` <= at < `until`."""

    session_id: str | None = None
    user_id: str | None = None
    project: str | None = None
    role: str | None = None
    since: str | None = None
    until: str | None = None
    tool_results: bool = False

    @property
    def kinds(self) -> list[Kind]:
        """Which texts: those of a role when one is named. Titles only where sessions are looked
        for."""
        if self.role is not None:
            return [kind_of(self.role)]
        kinds: list[Kind] = ["conversation"]
        if self.session_id is None:
            kinds.append("title")
        if self.tool_results:
            kinds.append("tool")
        return kinds


class Place(NamedTuple):
    """Where a page ended. `rank` counts when sorted by it; `horizon` is the time before which
    nothing was ranked, when the hits were too many."""

    at: str
    session_id: str
    seq: int
    rank: float
    horizon: str | None


class Hit(NamedTuple):
    """A row that was found. `body` is the turn, None for a title (seq 0)."""

    session_id: str
    seq: int
    at: str
    rank: float
    title: str | None
    body: bytes | None


class Found(NamedTuple):
    """A page of hits. The index does not hold the newest `events_behind` events yet, and is made
    anew for some sessions; the oldest of that is `seconds_behind` old. `last` is where the page
    ends when more follow. Not `complete`: only the newest hits were ranked."""

    hits: list[Hit]
    last: Place | None
    complete: bool
    events_behind: int
    sessions_behind: int
    seconds_behind: float


def search(
    scope: Scope,
    words: Words,
    filters: SearchFilters,
    *,
    ranked: bool,
    limit: int,
    last: Place | None = None,
) -> Query[Found]:
    """What answers the words, by rank or the newest first, behind the place `last`."""
    since, horizon = filters.since, last.horizon if last is not None else None
    if horizon is not None:
        since = horizon if since is None else max(since, horizon)
    params: dict[str, Any] = {
        "wanted": tsquery(words),
        "kinds": kind_letters(filters.kinds),
        "in_session": filters.session_id,
        "user_id": filters.user_id,
        "project": filters.project,
        "role": filters.role,
        "since": since,
        "until": filters.until,
        "ranked": ranked,
        "last_rank": last.rank if last is not None and ranked else None,
        "last_at": last.at if last is not None else None,
        "last_session": last.session_id if last is not None else None,
        "last_seq": Int8(last.seq) if last is not None else None,
        "limit": Int4(limit),
        "candidates": Int4(CANDIDATES),
        "common": COMMON_ROWS,
        "looked_at": Int4(LOOKED_AT_ROWS),
    }

    def read(rows: Rows) -> Found:
        hits = [_hit(rows, row) for row in range(rows.count) if rows.raw(row, 4) is not None]
        cut_at = rows.text(0, 10)
        before = times.normalise(cut_at) if cut_at is not None else horizon
        following = None
        if len(hits) > limit:
            end = hits[limit - 1]
            following = Place(end.at, end.session_id, end.seq, end.rank, before)
        return Found(
            hits[:limit],
            following,
            before is None,
            rows.number(0, 1) or 0,
            rows.number(0, 2) or 0,
            float(rows.text(0, 3) or 0),
        )

    return Query("search", frozenset(), params, read, scope)


def _hit(rows: Rows, row: int) -> Hit:
    return Hit(
        cast(str, rows.text(row, 4)),
        cast(int, rows.number(row, 5)),
        times.normalise(cast(str, rows.text(row, 6))),
        float(cast(str, rows.text(row, 7))),
        rows.text(row, 8),
        rows.raw(row, 9),
    )


async def items_of(words: Words, hits: list[Hit]) -> list[dict[str, Any]]:
    """The hits as they are answered, with snippets; long ones are cut beside the event loop."""
    if sum(len(hit.body or b"") for hit in hits) > _THREAD_BYTES:
        return await asyncio.to_thread(make_items, words, hits)
    return make_items(words, hits)


def make_items(words: Words, hits: list[Hit]) -> list[dict[str, Any]]:
    """The hits as they are answered, without those whose text has changed since."""
    items = (_item(words, hit) for hit in hits)
    return [item for item in items if item is not None]


def _item(words: Words, hit: Hit) -> dict[str, Any] | None:
    turn: dict[str, Any] = from_json(hit.body) if hit.body is not None else {}
    parts = snippet(words, searched_text(turn) if turn else hit.title or "")
    if parts is None:
        return None
    return {
        "session_id": hit.session_id,
        "turn_id": turn.get("turn_id"),
        "seq": hit.seq if turn else None,
        "role": turn.get("role"),
        "at": hit.at,
        "title": hit.title,
        "snippet": [part._asdict() for part in parts],
        "rank": hit.rank,
        "branch_id": turn.get("branch_id"),
    }
