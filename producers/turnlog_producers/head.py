"""A session's head: the truth about its length, kept in the hash `{tl:p}:heads`."""

from typing import NamedTuple


class Head(NamedTuple):
    """`<seq> <base> <recorded_at> <event_id> <flags> <owner>`, as the scripts write it."""

    seq: int
    """Of the last event."""
    base: int
    """The seq before the first event still in the stream; `seq` when the session is cold."""
    recorded_at: int
    """Of the last event, ms since 1970."""
    event_id: str
    """Of the last event."""
    flags: str
    """`-`, or letters: s = has a session.started, e = erased, c = cold: nothing but the head is
    left in Redis. (What counts is `base`: the append script of an older release leaves the c
    standing.)
    """
    owner: str
    """The user_id of its session.started; '' when there is none."""

    @classmethod
    def parse(cls, value: bytes | str) -> "Head":
        # The script takes any bytes for an owner; a head that is not read would stop a partition.
        text = value.decode(errors="replace") if isinstance(value, bytes) else value
        seq, base, recorded_at, event_id, flags, owner = text.split(" ", 5)
        return cls(int(seq), int(base), int(recorded_at), event_id, flags, owner)

    def format(self) -> str:
        """The value as the scripts write it."""
        return " ".join(map(str, self))

    @property
    def erased(self) -> bool:
        return "e" in self.flags
