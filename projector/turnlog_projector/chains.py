"""Does what a reading tells go on from what is archived? If not, its session has to be healed."""

from collections.abc import Mapping

from turnlog_projector.batch import Archived
from turnlog_projector.database import Database
from turnlog_projector.log import IndexEntry, SessionKey, StoredEvent
from turnlog_projector.reading import SessionReading
from turnlog_projector.sqlfiles import statement
from turnlog_projector.tables import columns


class StreamBroken(Exception):
    """A stream does not go on from what is archived: heal the session."""

    def __init__(self, key: SessionKey, reason: str) -> None:
        super().__init__(f"session {key.field}: {reason}")
        self.key = key
        self.reason = reason


def check_chains(
    connection: Database, sessions: Mapping[SessionKey, tuple[Archived, SessionReading]]
) -> None:
    """Each entry must go on from where its session is archived, or from the entry before it; one
    that tells of what is archived already must tell the same. Raises `StreamBroken`."""
    told: list[tuple[SessionKey, IndexEntry]] = []
    for key, (archived, session) in sessions.items():
        seq, event_id = archived.seq, archived.event_id
        for entry in session.entries:
            if entry.first == seq + 1 and entry.prev != event_id:
                raise StreamBroken(key, f"its history before seq {entry.first} is another one")
            if entry.first > seq + 1:
                raise StreamBroken(key, f"the index skips seqs {seq + 1} to {entry.first - 1}")
            if entry.end == seq and entry.last != event_id:
                raise StreamBroken(key, f"event {seq} is another one")
            if entry.end > seq:
                seq, event_id = entry.end, entry.last
            elif entry.end < archived.seq:
                told.append((key, entry))
    _check_told(connection, told)


def _check_told(connection: Database, told: list[tuple[SessionKey, IndexEntry]]) -> None:
    """Index entries of events that are archived under later ones: sent again by a healing, or by a
    Redis that lost its newest events and has given their seqs to others."""
    if not told:
        return
    rows = connection.execute(
        statement("archived_at"), columns([(*key, entry.end) for key, entry in told], 4)
    )
    archived = {(SessionKey(*row[:3]), row[3]): row[4] for row in rows}
    for key, entry in told:
        if archived.get((key, entry.end)) != entry.last:
            raise StreamBroken(key, f"event {entry.end} is another one")


def check_tail(
    key: SessionKey,
    first: int,
    last: int,
    entry: IndexEntry | None,
    events: list[StoredEvent],
) -> None:
    """The events must be those of the seqs from `first` to `last`, written by our scripts, and end
    with the one that the index names, if it does. Raises `StreamBroken`."""
    if [event.seq for event in events] != list(range(first, last + 1)):
        raise StreamBroken(key, f"the stream does not hold seqs {first} to {last}")
    for event in events:
        if not event.event_id:
            raise StreamBroken(key, f"entry {event.seq} was not written by the append script")
    if entry is not None and events[-1].event_id != entry.last:
        raise StreamBroken(key, f"event {last} is not the one that the index names")
