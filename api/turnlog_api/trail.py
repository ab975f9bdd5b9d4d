"""What a session has been through: the revisions of its turns, its titles, its branches.

Each kind is read twice: by a query of the read models, and, for a strong read, from a snapshot and
the tail that was folded onto it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from psycopg.types.numeric import Int8
from pydantic_core import from_json, to_json

from turnlog_api.queries import Query
from turnlog_api.rows import Rows
from turnlog_api.scope import Scope
from turnlog_api.statements import sql
from turnlog_api.strongpage import Folded
from turnlog_schemas.rows import LAST_SEQ

Item = Mapping[str, Any]


class TrailWindow(NamedTuple):
    """Which part of a list: at most `limit` items behind the seq `after`."""

    after: int
    limit: int


class TrailPage(NamedTuple):
    """A page of a session after event `seq`. `last_seq` is that of the last item when more follow;
    `found` is False when the turn that was named does not exist."""

    seq: int
    event_id: str
    items: list[bytes]
    last_seq: int | None
    found: bool = True


# Revisions


def revisions(
    scope: Scope, session_id: str, turn_id: str, window: TrailWindow
) -> Query[TrailPage | None]:
    """Revisions of a turn; None when there is no session that the caller may read."""

    def read(rows: Rows) -> TrailPage | None:
        seq, event_id = rows.number(0, 1), rows.text(0, 2)
        if seq is None or event_id is None:
            return None
        items = [cast(bytes, rows.raw(row, 5)) for row in _filled(rows, 4)]
        more = len(items) > window.limit
        last_seq = rows.number(window.limit - 1, 4) if more else None
        found = rows.raw(0, 3) is not None
        return TrailPage(seq, event_id, items[: window.limit], last_seq, found)

    return _query("revisions_page", scope, session_id, window, read, turn_id=turn_id)


async def folded_revisions(folded: Folded, turn_id: str, window: TrailWindow) -> TrailPage:
    """The same of a session with its tail folded."""
    rows = await _stored(folded, "revisions_page", window, turn_id=turn_id)
    erased = turn_id in folded.work.erased_turns
    stored = {} if erased else {row[4]: row[5].encode() for row in rows if row[4] is not None}
    for (id_, seq), revision in folded.work.changed.revisions.items():
        if id_ == turn_id and seq > window.after:
            stored[seq] = to_json(revision)
    found = bool(rows and rows[0][3]) or folded.work.changed.turn(turn_id) is not None
    return _page(folded, stored, window, found=found)


# Titles


def titles(scope: Scope, session_id: str, window: TrailWindow) -> Query[TrailPage | None]:
    """Titles of a session, each with the one that it replaced; None when there is no session that
    the caller may read."""

    def read(rows: Rows) -> TrailPage | None:
        seq, event_id = rows.number(0, 1), rows.text(0, 2)
        if seq is None or event_id is None:
            return None
        former = rows.raw(0, 3)
        before = None if former is None else from_json(former)["title"]
        found = [from_json(cast(bytes, rows.raw(row, 5))) for row in _filled(rows, 4)]
        items = _titles(found, before)
        more = len(items) > window.limit
        last_seq = rows.number(window.limit - 1, 4) if more else None
        return TrailPage(seq, event_id, list(items.values())[: window.limit], last_seq)

    return _query("titles_page", scope, session_id, window, read)


async def folded_titles(folded: Folded, window: TrailWindow) -> TrailPage:
    """The same of a session with its tail folded."""
    work = folded.work
    erased = frozenset(work.erased_turns)
    rows = await _stored(folded, "titles_page", window)
    stored: list[dict[str, Any]] = [from_json(row[5]) for row in rows if row[4] is not None]
    found = {title["seq"]: title for title in stored if title["turn_id"] not in erased}
    if len(stored) <= window.limit:  # else they come behind this page
        changed = work.changed.titles.items()
        found |= {seq: dict(title) for seq, title in changed if seq > window.after}
    former: dict[str, Any] | None = from_json(rows[0][3]) if rows and rows[0][3] else None
    before = former["title"] if former and former["turn_id"] not in erased else None
    return _page(folded, _titles([found[seq] for seq in sorted(found)], before), window)


def _titles(found: list[dict[str, Any]], before: str | None) -> dict[int, bytes]:
    """Titles as the API shows them, each with the one before."""
    items: dict[int, bytes] = {}
    for title in found:
        item = {"seq": title["seq"], "title": title["title"], "before": before}
        items[title["seq"]] = to_json(item | {k: title[k] for k in title if k not in item})
        before = title["title"]
    return items


# Branches


def branches(scope: Scope, session_id: str, window: TrailWindow) -> Query[TrailPage | None]:
    """Branches of a session; None when there is no session that the caller may read."""

    def read(rows: Rows) -> TrailPage | None:
        seq, event_id = rows.number(0, 1), rows.text(0, 2)
        if seq is None or event_id is None:
            return None
        shown, tip = rows.text(0, 3), rows.text(0, 4)
        items = [
            _branch(
                from_json(cast(bytes, rows.raw(row, 6))),
                from_json(rows.raw(row, 7) or b"{}"),
                shown,
                tip,
            )
            for row in _filled(rows, 5)
        ]
        more = len(items) > window.limit
        last_seq = rows.number(window.limit - 1, 5) if more else None
        return TrailPage(seq, event_id, items[: window.limit], last_seq)

    return _query("branches_page", scope, session_id, window, read)


async def folded_branches(folded: Folded, window: TrailWindow) -> TrailPage:
    """The same of a session with its tail folded."""
    changed, session = folded.work.changed, folded.session
    rows = await _stored(folded, "branches_page", window)
    found: dict[int, Item] = {row[5]: from_json(row[6]) for row in rows if row[5] is not None}
    first_turns: dict[int, Item] = {row[5]: from_json(row[7] or "{}") for row in rows if row[5]}
    for branch in changed.branches.values():
        if branch["first_seq"] > window.after:
            found[branch["first_seq"]] = cast(Item, branch)
    for turn in changed.turns.values():
        first_turns[turn["seq"]] = cast(Item, turn)
    shown, tip = session["branch_id"], session["tip_turn_id"]
    items = {
        seq: _branch(branch, first_turns.get(seq, {}), shown, tip) for seq, branch in found.items()
    }
    return _page(folded, items, window)


def _branch(branch: Item, first_turn: Item, shown: str | None, tip: str | None) -> bytes:
    """A branch as the API shows it. The tip of the one that is shown stands in the session."""
    is_shown = branch["branch_id"] == shown
    path = [[id_, None if upto == LAST_SEQ else upto] for id_, upto in branch["path"]]
    item = {
        **branch,
        "tip_turn_id": tip if is_shown else branch["tip_turn_id"],
        "path": path,
        "actor": first_turn.get("actor"),
        "shown": is_shown,
    }
    return to_json(item)


# All of them


def _query(
    name: str, scope: Scope, session_id: str, window: TrailWindow, read: Any, **more: Any
) -> Query[TrailPage | None]:
    params = _params(scope.tenant, session_id, window, **more)
    parts: frozenset[str] = frozenset()
    if scope.user_id is not None:
        params["user"] = scope.user_id
        parts = frozenset({"user"})
    return Query(name, parts, params, read, scope)


def _params(tenant: str, session_id: str, window: TrailWindow, **more: Any) -> dict[str, Any]:
    after, limit = Int8(window.after), Int8(window.limit)
    return {"tenant": tenant, "session_id": session_id, "after": after, "limit": limit, **more}


async def _stored(
    folded: Folded, name: str, window: TrailWindow, **more: Any
) -> list[tuple[Any, ...]]:
    """The stored rows of a page; whether the caller may see them was decided by the fold."""
    key = folded.work.key
    text = sql(name, folded.snapshot.generation)
    return await folded.snapshot.rows(text, _params(key.tenant, key.session_id, window, **more))


def _page(
    folded: Folded, items: Mapping[int, bytes], window: TrailWindow, *, found: bool = True
) -> TrailPage:
    shown = sorted(items.items())[: window.limit]
    last_seq = shown[-1][0] if len(items) > window.limit else None
    session = folded.session
    bodies = [body for _, body in shown]
    return TrailPage(session["seq"], session["event_id"], bodies, last_seq, found)


def _filled(rows: Rows, column: int) -> range:
    """The rows that hold an item: one without stands for an empty list."""
    return range(rows.count if rows.raw(0, column) is not None else 0)
