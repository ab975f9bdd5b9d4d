"""Making the next events of sessions ready to be archived and folded: decoded, repeats marked, and
without what is erased."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from turnlog_projector.caching import SessionCache
from turnlog_projector.chains import check_tail
from turnlog_projector.database import Database
from turnlog_projector.erasure import Erasure, Erasures
from turnlog_projector.folding import Decoded, ToFold, decode_all
from turnlog_projector.log import SessionKey, StoredEvent, Tail
from turnlog_projector.reading import SessionReading
from turnlog_projector.readmodels import ReadModels
from turnlog_projector.repeats import find_repeats
from turnlog_projector.work import SessionWork


class Ready(NamedTuple):
    """The next events of one session, and what they are folded into."""

    key: SessionKey
    events: list[StoredEvent]
    decoded: Decoded
    """Nothing of a session that is parked."""
    repeats: dict[int, int]
    """seq of a repeat -> seq of the first event."""
    work: SessionWork

    @property
    def to_fold(self) -> ToFold:
        return self.work, self.decoded.events


class Preparer:
    """Prepares for one projection; `sessions` is what that has loaded."""

    def __init__(self, connection: Database, sessions: SessionCache) -> None:
        self._connection = connection
        self._sessions = sessions
        self._erasures = Erasures(connection)
        self._models = ReadModels(connection, 0)

    def reload(self, models: ReadModels, partitions: Iterable[int]) -> None:
        """Go on with these read models; read anew which sessions had something erased."""
        self._models = models
        self._erasures.reload(partitions)

    def of_readings(self, readings: Mapping[SessionKey, SessionReading]) -> list[Ready]:
        """The events of each session that are not archived yet; sessions that have none, or that
        were not read, are left out. Raises `StreamBroken`."""
        tails = [(key, r.tail) for key, r in readings.items() if r.tail is not None]
        repeats = find_repeats(self._connection, tails)
        ready: list[Ready] = []
        for key, tail in tails:
            archived, newest = self._sessions[key].archived.seq, readings[key].newest
            events, decoded = tail.events, readings[key].decoded
            if events and events[0].seq <= archived:
                events, decoded = [event for event in events if event.seq > archived], None
            if not events:
                continue
            check_tail(key, archived + 1, newest.end, newest, events)
            ready.append(self._ready(key, events, decoded, repeats.get(key, {})))
        return ready

    def of_tail(self, key: SessionKey, tail: Tail) -> Ready:
        """The events of one session, all of them the next ones."""
        repeats = find_repeats(self._connection, [(key, tail)]).get(key, {})
        return self._ready(key, tail.events, None, repeats)

    def without_erased(self, ready: Ready) -> tuple[Ready, Erasure | None]:
        """Without what these events or earlier ones erase, and what is to be erased with them. A
        session that is folded afresh as the batch is written is not folded here."""
        known = self._sessions[ready.key]
        erasure = self._erasures.find(
            ready.key,
            ready.events,
            ready.decoded,
            ready.repeats,
            archived_seq=known.archived.seq,
            session_erased=known.session is not None and known.session["erased"],
        )
        if erasure is None:
            return ready, None
        events = erasure.pass_over(ready.events)
        decoded = Decoded([], None)
        if not erasure.refolds and known.archived.parked_seq is None:
            decoded = _decode(ready.key, events, ready.repeats)
        return ready._replace(events=events, decoded=decoded), erasure

    def _ready(
        self,
        key: SessionKey,
        events: list[StoredEvent],
        decoded: Decoded | None,
        repeats: dict[int, int],
    ) -> Ready:
        archived, session, _ = self._sessions[key]
        work = SessionWork(key, session, self._models if archived.seq else None)
        if archived.parked_seq is not None:
            decoded = Decoded([], None)
        elif decoded is None or repeats:
            decoded = _decode(key, events, repeats)
        return Ready(key, events, decoded, repeats, work)


def _decode(key: SessionKey, events: list[StoredEvent], repeats: dict[int, int]) -> Decoded:
    decoded = decode_all(key, events)
    if repeats:
        for event in decoded.events:
            event.repeat_of = repeats.get(event.seq)
    return decoded
