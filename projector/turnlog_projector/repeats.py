"""Repeats that Redis could no longer know: an append that came again after the log had pruned its
event id. Such an event is archived like any other, marked, and folds to nothing."""

from collections.abc import Iterable

from turnlog_projector.database import Database
from turnlog_projector.log import SessionKey, Tail
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import columns


def find_repeats(
    connection: Database, tails: Iterable[tuple[SessionKey, Tail]]
) -> dict[SessionKey, dict[int, int]]:
    """For each session that has any: seq of the repeat -> seq of the first event with that id.

    As long as nothing of a session was pruned, the append script itself has answered repeats.
    """
    asked = [(key, tail) for key, tail in tails if tail.head is None or tail.head.base]
    rows = [(*key, event.event_id) for key, tail in asked for event in tail.events]
    if not rows:
        return {}
    first = {
        (row[0], row[1], row[2]): row[3]
        for row in connection.execute(statement("known_event_ids"), columns(rows, 4))
    }
    found: dict[SessionKey, dict[int, int]] = {}
    for key, tail in asked:
        for event in tail.events:
            seq = first.get((key.tenant, key.session_id, event.event_id))
            if seq is not None:
                found.setdefault(key, {})[event.seq] = seq
    return found
