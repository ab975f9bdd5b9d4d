"""What is kept of a session's history to show it as of any event: no text of turns, about 60 bytes
for each of them.

A timeline knows every turn by its seq, branch and parent and by the events that changed it, and the
session as it stood after every few hundred events. What a turn said is read from the log again, for
the few turns that a page shows. So the history of 100,000 turns takes a few megabytes, and each of
its moments some milliseconds.

Turns and branches are named by number here: counted from 0, in the order of seq.
"""

from array import array
from bisect import bisect_left, bisect_right
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter

from pydantic_core import to_json

from turnlog_schemas.branches import MAIN
from turnlog_schemas.rows import LAST_SEQ, Session

MARK_EVENTS = 500
"""The session is kept after so many events at first; a moment is folded on from there."""

MAX_MARKS = 256
"""With more of them every second one goes, and they come half as often."""

_FRESH_IDS = 1024


def _numbers() -> "array[int]":
    return array("i")


def _seqs() -> "array[int]":
    return array("q")


def _hashes() -> "array[int]":
    return array("Q")


@dataclass(slots=True)
class Timeline:
    """The history of a session up to the event `upto`. One that was handed out never changes: a
    copy goes on."""

    upto: int = 0
    event_id: str = ""
    """Of the event `upto`."""
    session: Session | None = None
    """The session after it."""
    every: int = MARK_EVENTS
    marks: list[Session] = field(default_factory=list[Session])
    """The session after every so many events."""

    starts: "array[int]" = field(default_factory=_seqs)
    """The seq that each turn began with."""
    branch_of: "array[int]" = field(default_factory=_numbers)
    parents: "array[int]" = field(default_factory=_numbers)
    """The turn that each one follows; -1: none."""
    retracted: "array[int]" = field(default_factory=_seqs)
    """The event that took each turn out of view, for good; LAST_SEQ: none did."""
    newest: "array[int]" = field(default_factory=_numbers)
    """The place in `changes` of the last change to each turn; -1: nothing changed it."""

    changes: "array[int]" = field(default_factory=_seqs)
    """The seqs of events that changed a turn."""
    before: "array[int]" = field(default_factory=_numbers)
    """The place of the change to the same turn before each one; -1: none."""

    first_turns: "array[int]" = field(default_factory=_seqs)
    """The seq of the first turn of each branch."""
    branch_parents: "array[int]" = field(default_factory=_numbers)
    """The branch that each one left; -1: it is a root."""
    forks: "array[int]" = field(default_factory=_seqs)
    """The seq of the turn that it left it at."""

    hashes: "array[int]" = field(default_factory=_hashes)
    """Sorted hashes of turn ids, but for the newest, which are in `fresh`."""
    hashed: "array[int]" = field(default_factory=_numbers)
    """The turn that each of them names."""
    fresh: dict[int, int] = field(default_factory=dict[int, int])

    def copy(self) -> "Timeline":
        """One that can go on by itself."""
        return replace(self, **{name: copy(getattr(self, name)) for name in _GROWING})

    @property
    def weight(self) -> int:
        """Bytes of memory, roughly."""
        held = sum(memoryview(getattr(self, name)).nbytes for name in _ARRAYS)
        metadata = {id(mark["metadata"]): mark["metadata"] for mark in self.marks}
        held += sum(len(to_json(each)) * 3 for each in metadata.values())
        return held + 3000 * len(self.marks) + 150 * len(self.fresh) + 2000

    # Turns

    def find(self, turn_id: str) -> int | None:
        """The turn with this id."""
        wanted = _hash(turn_id)
        number = self.fresh.get(wanted)
        if number is not None:
            return number
        place = bisect_left(self.hashes, wanted)
        if place < len(self.hashes) and self.hashes[place] == wanted:
            return self.hashed[place]
        return None

    def add_turn(self, turn_id: str, *, seq: int, branch: int, parent: int, retracted: bool) -> int:
        """Note a new turn; its number. `retracted`: it came after it was erased."""
        number = len(self.starts)
        self.starts.append(seq)
        self.branch_of.append(branch)
        self.parents.append(parent)
        self.retracted.append(seq if retracted else LAST_SEQ)
        self.newest.append(-1)
        self.fresh[_hash(turn_id)] = number
        if len(self.fresh) > _FRESH_IDS + len(self.hashes) // 4:
            self._settle()
        return number

    def add_change(self, turn: int, seq: int, *, retracts: bool) -> None:
        """Note that an event changed a turn."""
        self.before.append(self.newest[turn])
        self.newest[turn] = len(self.changes)
        self.changes.append(seq)
        if retracts:
            self.retracted[turn] = min(self.retracted[turn], seq)

    def visible(self, turn: int, at: int) -> bool:
        """Whether a turn was not retracted after event `at`."""
        return self.retracted[turn] > at

    def events_of(self, turn: int, at: int) -> list[int]:
        """The seqs of the events that made a turn what it was after event `at`."""
        seqs: list[int] = []
        place = self.newest[turn]
        while place >= 0:
            if self.changes[place] <= at:
                seqs.append(self.changes[place])
            place = self.before[place]
        seqs.append(self.starts[turn])
        seqs.reverse()
        return seqs

    def between(self, after: int, before: int) -> range:
        """The turns that began between two events."""
        return range(bisect_right(self.starts, after), bisect_left(self.starts, before))

    def _settle(self) -> None:
        """Sort the ids of new turns in with the others."""
        pairs = [*zip(self.hashes, self.hashed, strict=True), *self.fresh.items()]
        pairs.sort(key=itemgetter(0))
        self.hashes = array("Q", map(itemgetter(0), pairs))
        self.hashed = array("i", map(itemgetter(1), pairs))
        self.fresh = {}

    # Branches

    def add_branch(self, *, first_turn: int, parent: int, fork: int) -> int:
        """Note a new branch; its number."""
        self.first_turns.append(first_turn)
        self.branch_parents.append(parent)
        self.forks.append(fork)
        return len(self.first_turns) - 1

    def branch_id(self, branch: int) -> str:
        return f"b{self.first_turns[branch]}" if branch else MAIN

    def find_branch(self, branch_id: str, at: int) -> int | None:
        """The branch with this id, if it was there after event `at`."""
        if branch_id == MAIN:
            number = 0
        elif branch_id[:1] == "b" and branch_id[1:].isascii() and branch_id[1:].isdecimal():
            number = bisect_left(self.first_turns, min(int(branch_id[1:]), LAST_SEQ))
        else:
            return None
        if number >= len(self.first_turns) or self.first_turns[number] > at:
            return None
        return number if self.branch_id(number) == branch_id else None

    def path(self, branch: int) -> dict[int, int]:
        """Which turns the history of a branch takes from which branch: up to which seq."""
        path = {branch: LAST_SEQ}
        while self.branch_parents[branch] >= 0:
            fork = self.forks[branch]
            branch = self.branch_parents[branch]
            path[branch] = fork
        return dict(reversed(path.items()))

    # Moments

    def add_mark(self, session: Session) -> None:
        """Keep the session, when it is time to."""
        if session["seq"] % self.every:
            return
        self.marks.append(session)
        if len(self.marks) > MAX_MARKS:
            self.every *= 2
            self.marks = [mark for mark in self.marks if mark["seq"] % self.every == 0]

    def nearest(self, seq: int) -> Session | None:
        """The session at the last kept event up to `seq`; None: fold from the beginning."""
        if self.session is not None and self.upto <= seq:
            return self.session
        place = bisect_right(self.marks, seq, key=itemgetter("seq"))
        return self.marks[place - 1] if place else None


_FIXED = ("upto", "event_id", "session", "every")
_GROWING = tuple(name for name in Timeline.__slots__ if name not in _FIXED)
_ARRAYS = tuple(name for name in _GROWING if name not in ("marks", "fresh"))


@lru_cache(maxsize=4096)
def _hash(turn_id: str) -> int:
    return int.from_bytes(blake2b(turn_id.encode(), digest_size=8).digest(), "big")
