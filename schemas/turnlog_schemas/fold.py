"""The fold: what an event does to a session and its rows. Pure, deterministic, total, idempotent.

Projector, strong reads, time travel, replay and verification all use this one function, so they
cannot differ. No valid event makes it fail: an event that names what does not exist changes nothing
and is counted in `ignored`.
"""

import json
from collections.abc import Callable
from typing import Any, cast

from turnlog_schemas import branches, text
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.rows import (
    Annotation,
    Branch,
    Changes,
    LastTurn,
    Revision,
    Rows,
    Session,
    TitleChange,
    Turn,
    TurnStatus,
)
from turnlog_schemas.stubs import PLACING

_MOST_COUNTED = 2**53
"""The largest counter of a usage that is summed, as for the two that have names."""

_MOST_COUNTERS = 256
"""So many counters of a session are summed, those that came first; turns keep all of theirs."""

_MOST_METADATA = 1024 * 1024
"""The metadata of a session as JSON, in code points: at least what one event may bring."""

_FINISHED_FIELDS = (
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "artifacts",
    "model",
    "usage",
    "response_time_ms",
)
_ONLY_WHOLE = frozenset(_FINISHED_FIELDS) - {"name", "model"}


def needs(event: RecordedEvent) -> tuple[str, ...]:
    """The ids of the turns that folding the event will look at, so that they can be fetched for a
    whole batch at once. (Branches, and the turn before a retracted one, are asked for when met.)"""
    if event.type not in _HANDLERS or not event.type.startswith("turn."):
        return ()  # whatever an unknown event calls a turn_id need not be an id
    turn_id: str | None = event.data.get("turn_id")
    if turn_id is None:
        return ()  # erased with its session
    parent = event.data.get("parent_turn_id") if event.type in PLACING else None
    return (turn_id, parent) if parent is not None else (turn_id,)


def fold(session: Session | None, rows: Rows, event: RecordedEvent) -> Changes:
    """Fold one event. `session` is None before the first; `event.seq` must be the next one."""
    if session is None:
        session = _new_session(event)
    else:
        session = session.copy()
        session["seq"] = event.seq
        session["event_id"] = event.event_id
    handler = _HANDLERS.get(event.type)
    if handler is None or event.repeat_of is not None or session["erased"]:
        return _ignore(session)
    if event.erased is not None and _is_void(event):
        return _ignore(session)
    return handler(session, rows, event)


def _is_void(stub: RecordedEvent) -> bool:
    """Whether an erasure has left nothing of an event but its place in the log."""
    if stub.type in PLACING:
        return "role" not in stub.data
    return "turn_id" not in stub.data or stub.type == "turn.annotated"


def _new_session(event: RecordedEvent) -> Session:
    at = event.shown_at
    return {
        "session_id": event.session_id,
        "user_id": None,
        "project": None,
        "title": None,
        "title_source": None,
        "visibility": "private",
        "created_at": at,
        "updated_at": at,
        "turn_count": 0,
        "last_turn": None,
        "usage": {},
        "branch_id": None,
        "archived": False,
        "pinned": False,
        "deleted": False,
        "metadata": {},
        "seq": event.seq,
        "tenant": event.tenant,
        "event_id": event.event_id,
        "started": False,
        "erased": False,
        "floor": 0,
        "last_turn_id": None,
        "last_turn_seq": 0,
        "title_turn_id": None,
        "tip_turn_id": None,
        "branches": 0,
        "ignored": 0,
    }


def _ignore(session: Session) -> Changes:
    session["ignored"] += 1
    return Changes(session)


def _touch(session: Session, event: RecordedEvent) -> None:
    session["updated_at"] = max(session["updated_at"], event.shown_at)


# Sessions


def _session_started(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    if session["started"]:
        return _ignore(session)
    session["started"] = True
    data = event.data
    for key in ("user_id", "project", "visibility"):
        if data.get(key) is not None:
            session[key] = data[key]
    if data.get("metadata"):
        _merge_metadata(session, data["metadata"])
    _touch(session, event)
    if data.get("title") is not None and session["title_source"] in (None, "turn"):
        return Changes(session, titles=(_set_title(session, event, data["title"], "user"),))
    return Changes(session)


def _session_updated(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    data = event.data
    titles: tuple[TitleChange, ...] = ()
    changed_branches: tuple[Branch, ...] = ()
    effective = False
    for key in ("project", "visibility", "archived", "pinned"):
        if data.get(key) is not None:
            session[key] = data[key]
            effective = True
    if data.get("metadata") is not None and _merge_metadata(session, data["metadata"]):
        effective = True
    if data.get("title") is not None:
        source = data.get("title_source") or "user"
        if source == "user" or session["title_source"] != "user":
            titles = (_set_title(session, event, data["title"], source),)
            effective = True
    if data.get("branch") is not None:
        switched = branches.show(session, rows, data["branch"])
        if switched is not None:
            changed_branches = switched
            effective = True
    if not effective:
        return _ignore(session)
    _touch(session, event)
    return Changes(session, titles=titles, branches=changed_branches)


def _session_cleared(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    session["floor"] = event.seq
    session["turn_count"] = 0
    _set_last_turn(session, None)
    _touch(session, event)
    return Changes(session)


def _session_deleted(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    if session["deleted"]:
        return _ignore(session)
    session["deleted"] = True
    _touch(session, event)
    return Changes(session)


def _session_restored(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    if not session["deleted"]:
        return _ignore(session)
    session["deleted"] = False
    _touch(session, event)
    return Changes(session)


def _session_erased(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    tombstone = _new_session(event)
    tombstone["created_at"] = session["created_at"]
    tombstone["updated_at"] = max(session["updated_at"], event.shown_at)
    tombstone["started"] = tombstone["erased"] = tombstone["deleted"] = True
    tombstone["floor"] = event.seq
    return Changes(tombstone, erased_session=True)


def _merge_metadata(session: Session, new: dict[str, Any]) -> bool:
    """Merge into the metadata of the session; False, and nothing is, when it would be too much to
    write again with every change."""
    old = session["metadata"]
    merged = _merged(old, new)
    if old and _json_length(merged) > max(_MOST_METADATA, _json_length(old)):
        return False
    session["metadata"] = merged
    return True


def _json_length(value: dict[str, Any]) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in {**old, **new}.items() if v is not None}


def _set_title(
    session: Session, event: RecordedEvent, title: str, source: str, turn_id: str | None = None
) -> TitleChange:
    title = text.storable(title)
    session["title"] = title
    session["title_source"] = source
    session["title_turn_id"] = turn_id
    return {
        "seq": event.seq,
        "title": title,
        "source": source,
        "turn_id": turn_id,
        "at": event.shown_at,
        "actor": event.actor,
    }


# Turns


def _turn_started(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    if rows.turn(event.data["turn_id"]) is not None:
        return _ignore(session)
    return _create(session, rows, event, "streaming")


def _turn_appended(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    if rows.turn(event.data["turn_id"]) is not None:
        return _ignore(session)
    return _create(session, rows, event, "complete")


def _turn_completed(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    return _finish(session, rows, event, "complete")


def _turn_interrupted(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    return _finish(session, rows, event, "interrupted")


def _create(session: Session, rows: Rows, event: RecordedEvent, status: TurnStatus) -> Changes:
    data = event.data
    if event.erased is not None and event.erased < event.seq:
        status = "retracted"  # it came after its turn was erased
    if status == "streaming":  # of what only a whole turn holds nothing is checked, nor known
        data = {key: value for key, value in data.items() if key not in _ONLY_WHOLE}
    get = data.get
    branch_id, parent_turn_id, changed_branches = branches.place(session, rows, event)
    turn: Turn = {
        "turn_id": data["turn_id"],
        "seq": event.seq,
        "role": data["role"],
        "content": get("content"),
        "name": get("name"),
        "tool_calls": get("tool_calls"),
        "tool_call_id": get("tool_call_id"),
        "artifacts": get("artifacts"),
        "model": get("model"),
        "usage": get("usage"),
        "response_time_ms": get("response_time_ms"),
        "parent_turn_id": parent_turn_id,
        "branch_id": branch_id,
        "status": status,
        "reason": get("reason"),
        "edited": False,
        "annotations": [],
        "actor": event.actor,
        "at": event.shown_at,
        "recorded_at": event.recorded,
        "metadata": get("metadata"),
    }
    if status != "retracted":
        session["turn_count"] += 1
        _set_last_turn(session, turn)
    if turn["usage"]:
        session["usage"] = _added(session["usage"], turn["usage"], {})
    _touch(session, event)
    return Changes(session, (turn,), changed_branches, _title_from_turn(session, event, turn))


def _finish(session: Session, rows: Rows, event: RecordedEvent, status: TurnStatus) -> Changes:
    """The end of a streamed turn. One whose beginning is not in the log is taken as a whole turn:
    its text must not be lost because its start was."""
    data = event.data
    before = rows.turn(data["turn_id"])
    if before is None:
        return _create(session, rows, event, status)
    late = before["status"] == "interrupted" and status == "complete"
    if before["status"] != "streaming" and not late:
        return _ignore(session)
    after = before.copy()
    for key in _FINISHED_FIELDS:
        if data.get(key) is not None:
            after[key] = data[key]
    if data.get("metadata"):
        after["metadata"] = _merged(before["metadata"] or {}, data["metadata"])
    after["status"] = status
    after["reason"] = data.get("reason")
    session["usage"] = _added(session["usage"], after["usage"] or {}, before["usage"] or {})
    revisions = (_revision(event, before, after),) if late else ()
    return _replace(session, event, after, revisions=revisions)


def _turn_edited(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    before = rows.turn(event.data["turn_id"])
    if before is None or before["status"] == "retracted":
        return _ignore(session)
    after = before.copy()
    after["content"] = event.data.get("content")
    after["edited"] = True
    return _replace(session, event, after, revisions=(_revision(event, before, after),))


def _turn_retracted(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    before = rows.turn(event.data["turn_id"])
    if before is None or before["status"] == "retracted":
        return _ignore(session)
    after = _stub(before, event)
    changes = _replace(session, event, after, revisions=(_revision(event, before, after),))
    _leave_view(changes.session, rows, before)
    return changes


def _turn_erased(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    turn_id: str = event.data["turn_id"]
    before = rows.turn(turn_id)
    if before is None:
        return _ignore(session)
    after = _stub(before, event)
    after["annotations"] = []
    after["actor"] = None
    changes = _replace(session, event, after)
    if before["status"] != "retracted":
        _leave_view(session, rows, before)
    if session["title_turn_id"] == turn_id:
        session["title"] = session["title_source"] = session["title_turn_id"] = None
    return changes._replace(titles=(), erased_turn_id=turn_id)


def _replace(
    session: Session,
    event: RecordedEvent,
    turn: Turn,
    *,
    revisions: tuple[Revision, ...] = (),
) -> Changes:
    """Put a changed turn, and follow it in what the session shows of it."""
    if session["last_turn_id"] == turn["turn_id"]:
        _set_last_turn(session, turn)
    _touch(session, event)
    titles = _title_from_turn(session, event, turn)
    return Changes(session, turns=(turn,), titles=titles, revisions=revisions)


def _title_from_turn(session: Session, event: RecordedEvent, turn: Turn) -> tuple[TitleChange, ...]:
    """The first visible user turn with text names the session, once."""
    if session["title"] is not None or turn["role"] != "user" or turn["status"] == "retracted":
        return ()
    if turn["seq"] <= session["floor"]:
        return ()
    title = text.title(turn["content"])
    if not title:
        return ()
    return (_set_title(session, event, title, "turn", turn["turn_id"]),)


def _stub(turn: Turn, event: RecordedEvent) -> Turn:
    stub = turn.copy()
    for key in _FINISHED_FIELDS:
        if key not in ("model", "usage", "response_time_ms"):
            stub[key] = None
    stub["metadata"] = None
    stub["status"] = "retracted"
    stub["reason"] = event.data.get("reason")
    return stub


def _leave_view(session: Session, rows: Rows, turn: Turn) -> None:
    if turn["seq"] <= session["floor"]:
        return
    session["turn_count"] -= 1
    if session["last_turn_id"] == turn["turn_id"]:
        _set_last_turn(session, rows.visible_before(turn["seq"], session["floor"]))


def _set_last_turn(session: Session, turn: Turn | None) -> None:
    if turn is None:
        session["last_turn"] = session["last_turn_id"] = None
        session["last_turn_seq"] = 0
        return
    last: LastTurn = {
        "role": turn["role"],
        "preview": text.preview(turn["content"]),
        "at": turn["at"],
    }
    session["last_turn"] = last
    session["last_turn_id"] = turn["turn_id"]
    session["last_turn_seq"] = turn["seq"]


def _added(total: dict[str, int], usage: dict[str, Any], counted: dict[str, Any]) -> dict[str, int]:
    """`total` plus every integer counter of `usage`, less what was counted; never reduced."""
    result = dict(total)
    for key, value in usage.items():
        if type(value) is int:
            already = counted.get(key)
            more = value - already if type(already) is int else value
            room = key in result or len(result) < _MOST_COUNTERS
            if more > 0 and value <= _MOST_COUNTED and room:
                result[key] = result.get(key, 0) + more
    return result


def _revision(event: RecordedEvent, before: Turn, after: Turn) -> Revision:
    old, new = cast(dict[str, Any], before), cast(dict[str, Any], after)
    changed = [key for key in old if old[key] != new[key]]
    return {
        "turn_id": before["turn_id"],
        "seq": event.seq,
        "type": event.type,
        "reason": event.data.get("reason"),
        "before": {key: old[key] for key in changed},
        "after": {key: new[key] for key in changed},
        "at": event.shown_at,
        "actor": event.actor,
    }


def _turn_annotated(session: Session, rows: Rows, event: RecordedEvent) -> Changes:
    data = event.data
    before = rows.turn(data["turn_id"])
    if before is None or before["status"] == "retracted":
        return _ignore(session)
    kind, value, by = data["kind"], data.get("value"), data.get("by")
    if by is None and event.actor:
        by = event.actor.get("id")
    takes_back = data.get("remove") or value is None

    def superseded(old: dict[str, Any]) -> bool:
        if old["kind"] != kind or old["by"] != by:
            return False
        if kind == "comment" and not takes_back:
            return False
        return kind == "rating" or old["value"] == value

    removed = [old for old in before["annotations"] if superseded(old)]
    if takes_back and not removed:
        return _ignore(session)
    standing = [old for old in before["annotations"] if old not in removed]
    put: tuple[Annotation, ...] = ()
    if not takes_back:
        shown = {"kind": kind, "value": value, "by": by, "at": event.shown_at, "seq": event.seq}
        standing.append(shown)
        put = ({"turn_id": before["turn_id"], **shown},)  # pyright: ignore[reportAssignmentType]
    after = before.copy()
    after["annotations"] = standing
    _touch(session, event)
    return Changes(
        session,
        turns=(after,),
        annotations=put,
        removed_annotations=tuple((before["turn_id"], old["seq"]) for old in removed),
    )


_HANDLERS: dict[str, Callable[[Session, Rows, RecordedEvent], Changes]] = {
    "session.started": _session_started,
    "session.updated": _session_updated,
    "session.cleared": _session_cleared,
    "session.deleted": _session_deleted,
    "session.restored": _session_restored,
    "session.erased": _session_erased,
    "turn.started": _turn_started,
    "turn.appended": _turn_appended,
    "turn.completed": _turn_completed,
    "turn.interrupted": _turn_interrupted,
    "turn.edited": _turn_edited,
    "turn.retracted": _turn_retracted,
    "turn.erased": _turn_erased,
    "turn.annotated": _turn_annotated,
}
