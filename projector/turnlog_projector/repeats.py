"""Repeats that Redis could no longer know: an append that came again after the log had pruned its
event id. Such an event is archived like any other, marked, and folds to nothing."""

from turnlog_projector.database import Database
from turnlog_projector.log import SessionKey, Tail
from turnlog_projector.sqlfiles import statement


def find_repeats(connection: Database, key: SessionKey, tail: Tail) -> dict[int, int]:
    """Seq of each repeat among the events -> seq of the first event with that id.

    As long as nothing of the session was pruned, the append script itself has answered repeats.
    """
    if tail.head is not None and tail.head.base == 0:
        return {}
    ids = [event.event_id for event in tail.events]
    count = len(ids)
    rows = connection.execute(
        statement("known_event_ids"),
        ([key.partition] * count, [key.tenant] * count, [key.session_id] * count, ids),
    )
    first = {row[2]: row[3] for row in rows}
    return {event.seq: first[event.event_id] for event in tail.events if event.event_id in first}
