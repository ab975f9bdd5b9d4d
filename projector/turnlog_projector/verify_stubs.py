"""Whether the stubs in a session are lawful: only an erasing event may leave them."""

from collections.abc import Iterator

from turnlog_projector.folding import decode_stored
from turnlog_projector.log import SessionKey
from turnlog_projector.verify_differences import MISSING, Difference
from turnlog_projector.verify_reading import ArchiveRow
from turnlog_schemas.erasure import WHOLE_SESSION, Stored, erasing_event
from turnlog_schemas.errors import InvalidEvent


class StubCheck:
    """Takes the archived events of one session; says at the end which stubs nothing has erased."""

    def __init__(self, key: SessionKey) -> None:
        self._key = key
        self._erased: set[str] = set()
        self._first: dict[str, int] = {}
        """Erased turn (or `WHOLE_SESSION`) -> seq of its first stub."""

    def take(self, row: ArchiveRow) -> None:
        """Note the next event."""
        raw = row.event.raw
        if b"erased" not in raw:  # nor is it a stub
            return
        turn_id = erasing_event(Stored(*row.event), row.repeat_of)
        if turn_id is not None:
            self._erased.add(turn_id)
            return
        try:
            event = decode_stored(self._key, row.event, row.repeat_of)
        except InvalidEvent:
            return
        if event.erased is not None:
            self._first.setdefault(event.data.get("turn_id", WHOLE_SESSION), event.seq)

    def unlawful(self) -> Iterator[Difference]:
        """The first stub of each turn that no event erases."""
        if WHOLE_SESSION in self._erased:
            return
        for turn_id, seq in self._first.items():
            if turn_id not in self._erased:
                what = f"turn.erased of {turn_id}" if turn_id else "session.erased"
                yield Difference(*self._key[1:], seq, "archive", "", "erased", what, MISSING)
