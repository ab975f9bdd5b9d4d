"""Pages of a session whose tail was folded within a snapshot: stored and folded rows, merged."""

from typing import Any, LiteralString, NamedTuple

from pydantic_core import to_json

from turnlog_api.asking import Pooled
from turnlog_api.queries import TurnsPage, Window
from turnlog_api.statements import sql
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import branch_from
from turnlog_projector.work import SessionWork
from turnlog_schemas.rows import LAST_SEQ, Branch, Session, Turn


class Snapshot(NamedTuple):
    """An open transaction whose statements all see the same rows, and the generation it reads."""

    connection: Pooled
    generation: int

    def statement(self, name: str) -> LiteralString:
        """A statement of the projector, for this generation."""
        return statement(name, generation=self.generation)

    async def rows(self, text: LiteralString, params: Any = None) -> list[tuple[Any, ...]]:
        cursor = self.connection.cursor(binary=True)
        await cursor.execute(text, params)
        return await cursor.fetchall()

    async def one(self, text: LiteralString, params: Any = None) -> tuple[Any, ...] | None:
        rows = await self.rows(text, params)
        return rows[0] if rows else None


class Folded(NamedTuple):
    """A session with its tail folded; `stored_seq` is how far its stored rows go."""

    snapshot: Snapshot
    session: Session
    work: SessionWork
    stored_seq: int


async def turns_page(folded: Folded, window: Window) -> TurnsPage:
    """The page as the read models will show it."""
    session = folded.session
    path: dict[str, int] | None = None
    if session["branches"] > 1 or window.branch is not None:
        branch = await _branch(folded, window.branch or session["branch_id"])
        if branch is None and window.branch is not None:
            seq, event_id = session["seq"], session["event_id"]
            return TurnsPage(seq, event_id, b"", 0, None, branch_found=False)
        path = dict(branch["path"]) if branch else {}
    window = window._replace(after=max(window.after, session["floor"]))
    rows = [(turn["seq"], to_json(turn)) for turn in _changed(folded, window, path)]
    text = _sql("stored_turns", folded, window, path)
    rows += [(row[0], row[1].encode()) for row in await folded.snapshot.rows(*text)]
    rows.sort(reverse=window.descending)
    items = rows[: window.limit]
    return TurnsPage(
        session["seq"],
        session["event_id"],
        b",".join(body for _, body in items),
        session["turn_count"] if path is None else await _count(folded, path),
        items[-1][0] if len(rows) > window.limit else None,
    )


async def _count(folded: Folded, path: dict[str, int]) -> int:
    everything = Window(after=folded.session["floor"], before=LAST_SEQ)
    row = await folded.snapshot.one(*_sql("stored_count", folded, everything, path))
    return (row[0] if row else 0) + len(_changed(folded, everything, path))


def _changed(folded: Folded, window: Window, path: dict[str, int] | None) -> list[Turn]:
    """Turns of the window that the tail has made or changed."""
    return [
        turn
        for turn in folded.work.changed.turns.values()
        if window.after < turn["seq"] < window.before
        and (path is None or turn["seq"] <= path.get(turn["branch_id"], 0))
        and (window.retracted or turn["status"] != "retracted")
    ]


def _sql(
    name: str, folded: Folded, window: Window, path: dict[str, int] | None
) -> tuple[LiteralString, dict[str, Any]]:
    parts = {"desc" if window.descending else "asc"}
    key = folded.work.key
    params: dict[str, Any] = {
        "tenant": key.tenant,
        "session_id": key.session_id,
        "after": window.after,
        "before": window.before,
        "limit": window.limit,
        "known": [
            turn["turn_id"]
            for turn in folded.work.changed.turns.values()
            if turn["seq"] <= folded.stored_seq
        ],
    }
    if not window.retracted:
        parts.add("visible")
    if path is not None:
        parts.add("path")
        params["branches"], params["uptos"] = list(path), list(path.values())
    return sql(name, folded.snapshot.generation, frozenset(parts)), params


async def _branch(folded: Folded, branch_id: str | None) -> Branch | None:
    if branch_id is None:
        return None
    changed = folded.work.changed.branch(branch_id)
    if changed is not None:
        return changed
    key = folded.work.key
    params = (key.tenant, key.session_id, branch_id)
    row = await folded.snapshot.one(folded.snapshot.statement("load_branch"), params)
    return None if row is None else branch_from(row[0])
