"""Where a turn hangs: which branch it continues or opens, and which branch is shown.

The tip of the shown branch stands in the session, so that an ordinary turn changes no branch row;
it is written back when another branch is shown.
"""

from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.rows import LAST_SEQ, Branch, Rows, Session

MAIN = "main"
"""The id of the first branch of a session; later ones are called `b<seq of their first turn>`."""


def place(
    session: Session, rows: Rows, event: RecordedEvent
) -> tuple[str, str | None, tuple[Branch, ...]]:
    """Find the place of a new turn: its branch, its parent, and the branch rows that change."""
    turn_id: str = event.data["turn_id"]
    shown = session["branch_id"]
    if shown is None:
        return _open(session, rows, event, parent_turn_id=None, parent=None, fork_seq=0)
    if "parent_turn_id" in event.data and event.data["parent_turn_id"] is None:
        return _open(session, rows, event, parent_turn_id=None, parent=None, fork_seq=0)
    parent_turn_id: str | None = event.data.get("parent_turn_id")
    parent_turn = rows.turn(parent_turn_id) if parent_turn_id is not None else None
    if parent_turn is None or parent_turn_id == session["tip_turn_id"]:
        # Also for a parent that the session never had: the turn must not be lost.
        tip = session["tip_turn_id"]
        session["tip_turn_id"] = turn_id
        return shown, tip, ()
    branch = rows.branch(parent_turn["branch_id"])
    if (
        branch is not None
        and branch["branch_id"] != shown
        and branch["tip_turn_id"] == parent_turn_id
    ):
        continued = branch.copy()
        continued["tip_turn_id"] = turn_id
        return branch["branch_id"], parent_turn_id, (continued,)
    return _open(
        session,
        rows,
        event,
        parent_turn_id=parent_turn_id,
        parent=branch,
        fork_seq=parent_turn["seq"],
    )


def show(session: Session, rows: Rows, branch_id: str) -> tuple[Branch, ...] | None:
    """Show another branch; the rows that change, or None when the session has no such branch."""
    chosen = rows.branch(branch_id)
    if chosen is None:
        return None
    if branch_id == session["branch_id"]:
        return ()
    written_back = _write_back(session, rows)
    session["branch_id"] = branch_id
    session["tip_turn_id"] = chosen["tip_turn_id"]
    return written_back


def _open(
    session: Session,
    rows: Rows,
    event: RecordedEvent,
    *,
    parent_turn_id: str | None,
    parent: Branch | None,
    fork_seq: int,
) -> tuple[str, str | None, tuple[Branch, ...]]:
    """Open a branch with this turn, and show it."""
    branch_id = f"b{event.seq}" if session["branches"] else MAIN
    inherited = list(parent["path"]) if parent else []
    if parent:
        inherited[-1] = (parent["branch_id"], fork_seq)
    branch: Branch = {
        "branch_id": branch_id,
        "parent_branch_id": parent["branch_id"] if parent else None,
        "fork_seq": fork_seq,
        "first_seq": event.seq,
        "tip_turn_id": event.data["turn_id"],
        "path": [*inherited, (branch_id, LAST_SEQ)],
        "created_at": event.shown_at,
    }
    changed = (*_write_back(session, rows), branch)
    session["branches"] += 1
    session["branch_id"] = branch_id
    session["tip_turn_id"] = event.data["turn_id"]
    return branch_id, parent_turn_id, changed


def _write_back(session: Session, rows: Rows) -> tuple[Branch, ...]:
    if session["branch_id"] is None:
        return ()
    shown = rows.branch(session["branch_id"])
    if shown is None or session["tip_turn_id"] is None:
        return ()
    left = shown.copy()
    left["tip_turn_id"] = session["tip_turn_id"]
    return (left,)
