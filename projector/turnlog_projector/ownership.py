"""Whose a session is, and whether it is erased, as the archive tells it: for a head made anew.

The read models know it up to the event at which a session is parked; what is archived behind that
is read here without being folded.
"""

from typing import Any, NamedTuple, cast

from pydantic_core import from_json

from turnlog_projector.batch import Archived
from turnlog_projector.database import Database
from turnlog_projector.log import SessionKey
from turnlog_projector.sqlfiles import statement
from turnlog_schemas.rows import Session

_CHUNK_EVENTS = 2000
_CHUNK_BYTES = 8 * 1024 * 1024


class Ownership(NamedTuple):
    """What a head says of a session beside its length."""

    owner: str
    """The user_id of its first session.started; '' when there is none, or it is erased."""
    started: bool
    erased: bool

    @property
    def flags(self) -> str:
        return (("s" if self.started else "") + ("e" if self.erased else "")) or "-"


def ownership(
    connection: Database, key: SessionKey, archived: Archived, session: Session | None
) -> Ownership:
    """Owner and flags of a session; `session` is its row in the live generation."""
    found = Ownership("", started=False, erased=False)
    first = 1
    if session is not None:
        found = Ownership(session["user_id"] or "", session["started"], session["erased"])
        first = session["seq"] + 1
    while first <= archived.seq and not found.erased:
        rows = connection.execute(
            statement("archived_up_to"),
            {
                **key._asdict(),
                "first": first,
                "upto_pos": None,
                "upto_seq": archived.seq,
                "count": _CHUNK_EVENTS,
                "size": _CHUNK_BYTES,
            },
        ).fetchall()
        if not rows:
            break
        for seq, _, _, raw, repeat_of in rows:
            first = seq + 1
            if repeat_of is None:
                found = _after(found, raw)
    return found._replace(owner="") if found.erased else found


def _after(before: Ownership, raw: bytes) -> Ownership:
    # Most events say nothing of it; a backslash may hide the name of a type.
    if b"session." not in raw and b"\\" not in raw:
        return before
    try:
        envelope: Any = from_json(raw)
    except ValueError:
        return before
    fields = cast(dict[str, Any], envelope) if isinstance(envelope, dict) else {}
    if fields.get("type") == "session.erased":
        return before._replace(erased=True)
    if fields.get("type") != "session.started" or before.started:
        return before
    data: Any = fields.get("data")
    user_id: Any = cast(dict[str, Any], data).get("user_id") if isinstance(data, dict) else None
    return before._replace(owner=user_id if isinstance(user_id, str) else "", started=True)
