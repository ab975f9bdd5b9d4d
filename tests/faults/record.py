"""The record of a campaign: what was sent, what was answered, what a restore may have taken."""

import threading
from dataclasses import dataclass, field

EventKey = tuple[str, str]
"""(session_id, event_id)"""


@dataclass
class Record:
    """Filled by all writers and by whoever disturbs them. Only this and the stores are judged."""

    sent: dict[EventKey, bytes] = field(default_factory=dict[EventKey, bytes])
    """BLAKE2b-128 of the bytes of every event that a writer has tried to append."""
    told: dict[EventKey, int] = field(default_factory=dict[EventKey, int])
    """The seq in the first answer to each that was answered. Redis had fsynced it by then."""
    excused: set[EventKey] = field(default_factory=set[EventKey])
    """Answered, but nowhere else than in what was then deleted by hand or set back."""
    moved: bool = False
    """Whether Redis lost events on purpose: those that came later may have got other seqs."""
    trimmed: bool = False
    """Whether Redis may have forgotten event ids: a repeat may have got a seq of its own."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, key: EventKey, digest: bytes) -> None:
        with self.lock:
            self.sent[key] = digest

    def tell(self, key: EventKey, seq: int) -> None:
        with self.lock:
            self.told.setdefault(key, seq)

    def told_of(self, session_id: str | None = None) -> set[EventKey]:
        """The events answered so far, of one session or of all."""
        with self.lock:
            return {key for key in self.told if session_id is None or key[0] == session_id}
