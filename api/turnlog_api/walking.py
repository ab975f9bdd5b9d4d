"""Folding events over a session's timeline: to make it longer, or to find the session as it was.

The fold is the one of the projector. What it asks for are whole turns, and the timeline holds none:
a turn is read from the log when it is asked for, and only the latest are kept at hand.
"""

from collections import OrderedDict
from collections.abc import Sequence

from turnlog_api.logsteps import CHUNK_EVENTS, Decoder, Gap, LogEvent, Places, Span, Steps
from turnlog_api.timeline import Timeline
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.fold import fold, needs
from turnlog_schemas.rows import Branch, Changes, MemoryRows, Session, Turn

_KEPT_TURNS = 2000
_KEPT_BYTES = 8 * 1024 * 1024
_READ_TURNS = 100


class _Missing(Exception):
    """The fold asks for a turn that is not at hand: read it and fold the event again. The fold is
    pure, so folding again changes nothing."""

    def __init__(self, turn: int) -> None:
        super().__init__(turn)
        self.turn = turn


class Walk:
    """Goes from one moment of a session to a later one, event by event.

    With `extends` the timeline grows by what is met. Otherwise it reaches as far already, and is
    only looked at.
    """

    def __init__(
        self, timeline: Timeline, decoder: Decoder, session: Session | None, *, extends: bool
    ) -> None:
        """`session` is where to begin; None: at the beginning."""
        self.session = session
        self._timeline = timeline
        self._decoder = decoder
        self._extends = extends
        self._seq = session["seq"] if session is not None else 0
        self._at_hand = _AtHand()
        self._tips: dict[int, int] = {}
        """The newest turn of some branches."""
        self._hidden: dict[int, int] = {}
        """For turns that are out of view: a turn before them, with only such ones between."""

    def steps(self, upto: int) -> Steps[int | None]:
        """Go on to the event `upto`; the seq at which folding had to stop, if it did.

        Raises `Gap` when the log does not hold the events.
        """
        while self._seq < upto:
            events = yield Span(self._seq + 1, upto)
            first = self._seq + 1
            if not events or [e.seq for e in events] != list(range(first, first + len(events))):
                raise Gap
            decoded, stopped = self._decoded(events)
            yield from self._prefetch(decoded)
            for event, size in decoded:
                if not (yield from self._fold(event, size)):
                    return event.seq
            if stopped is not None:
                return stopped
        return None

    # What the fold asks for: the rows after the event `self._seq`.

    def turn(self, turn_id: str) -> Turn | None:
        number = self._timeline.find(turn_id)
        if number is None or self._timeline.starts[number] > self._seq:
            return None
        return self._turn(number)

    def branch(self, branch_id: str) -> Branch | None:
        """What the fold looks at of a branch: where it comes from, and its newest turn."""
        timeline = self._timeline
        number = timeline.find_branch(branch_id, self._seq)
        if number is None:
            return None
        parent = timeline.branch_parents[number]
        return {
            "branch_id": branch_id,
            "parent_branch_id": timeline.branch_id(parent) if parent >= 0 else None,
            "fork_seq": timeline.forks[number],
            "first_seq": timeline.first_turns[number],
            "tip_turn_id": self._turn(self._tip(number))["turn_id"],
            "path": [(timeline.branch_id(at), upto) for at, upto in timeline.path(number).items()],
            "created_at": "",
        }

    def visible_before(self, seq: int, floor: int) -> Turn | None:
        passed: list[int] = []
        number = self._timeline.between(0, seq).stop - 1
        while number >= 0 and self._timeline.starts[number] > floor:
            if self._timeline.visible(number, self._seq):
                break
            passed.append(number)
            number = self._hidden.get(number, number - 1)
        self._hidden.update(dict.fromkeys(passed, number))
        if number < 0 or self._timeline.starts[number] <= floor:
            return None
        return self._turn(number)

    def _turn(self, number: int) -> Turn:
        turn = self._at_hand.get(number)
        if turn is None:
            raise _Missing(number)
        return turn

    def _tip(self, branch: int) -> int:
        if branch not in self._tips:
            turns = reversed(self._timeline.between(0, self._seq + 1))
            self._tips[branch] = next(n for n in turns if self._timeline.branch_of[n] == branch)
        return self._tips[branch]

    # Folding

    def _decoded(
        self, events: list[LogEvent]
    ) -> tuple[list[tuple[RecordedEvent, int]], int | None]:
        decoded: list[tuple[RecordedEvent, int]] = []
        for event in events:
            try:
                decoded.append((self._decoder.decode(event), len(event.stored.raw)))
            except InvalidEvent:
                return decoded, event.seq
        return decoded, None

    def _prefetch(self, decoded: list[tuple[RecordedEvent, int]]) -> Steps[None]:
        """Have the turns at hand that the events will look at, so far as they exist by now."""
        named = dict.fromkeys(id_ for event, _ in decoded for id_ in needs(event))
        numbers = (self._timeline.find(id_) for id_ in named)
        wanted = [
            number
            for number in numbers
            if number is not None
            and self._timeline.starts[number] <= self._seq
            and number not in self._at_hand
        ]
        yield from self._read(wanted[:_KEPT_TURNS])

    def _read(self, turns: Sequence[int]) -> Steps[None]:
        for start in range(0, len(turns), _READ_TURNS):
            some = turns[start : start + _READ_TURNS]
            found = yield from read_turns(
                self._timeline, self._decoder, some, self._seq, parents=False
            )
            for number, (turn, size) in zip(some, found, strict=True):
                self._at_hand.put(number, turn, size)

    def _fold(self, event: RecordedEvent, size: int) -> Steps[bool]:
        """Fold an event; whether that could be done."""
        while True:
            try:
                changes = fold(self.session, self, event)
                break
            except _Missing as missing:
                yield from self._read([missing.turn])
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                return False  # the projector parks the session for the same reason
        self._seq = event.seq
        self.session = changes.session
        for turn in changes.turns:
            self._note_turn(turn, changes, size)
        if self._extends:
            self._timeline.upto = event.seq
            self._timeline.event_id = event.event_id
            self._timeline.session = changes.session
            self._timeline.add_mark(changes.session)
        self._at_hand.trim()
        return True

    def _note_turn(self, turn: Turn, changes: Changes, size: int) -> None:
        timeline, seq = self._timeline, self._seq
        if turn["seq"] == seq and self._extends:
            number = timeline.add_turn(
                turn["turn_id"],
                seq=seq,
                branch=self._branch_of_new(turn, changes),
                parent=self._parent_of(turn),
                retracted=turn["status"] == "retracted",
            )
        else:
            number = timeline.find(turn["turn_id"])
            assert number is not None, "a turn that changes is known"
            if turn["seq"] != seq and self._extends:
                timeline.add_change(number, seq, retracts=turn["status"] == "retracted")
        if turn["seq"] == seq:
            self._tips[timeline.branch_of[number]] = number
        self._at_hand.put(number, turn, size)

    def _branch_of_new(self, turn: Turn, changes: Changes) -> int:
        timeline = self._timeline
        for branch in changes.branches:
            if branch["first_seq"] == turn["seq"]:
                parent = branch["parent_branch_id"]
                place = timeline.find_branch(parent, self._seq) if parent is not None else None
                return timeline.add_branch(
                    first_turn=turn["seq"],
                    parent=-1 if place is None else place,
                    fork=branch["fork_seq"],
                )
        number = timeline.find_branch(turn["branch_id"], self._seq)
        assert number is not None, "a turn continues a branch that is known"
        return number

    def _parent_of(self, turn: Turn) -> int:
        if turn["parent_turn_id"] is None:
            return -1
        number = self._timeline.find(turn["parent_turn_id"])
        assert number is not None, "a turn follows one that is known"
        return number


class _AtHand:
    """The turns that were looked at last."""

    def __init__(self) -> None:
        self._turns: OrderedDict[int, tuple[Turn, int]] = OrderedDict()
        self._bytes = 0

    def __contains__(self, number: int) -> bool:
        return number in self._turns

    def get(self, number: int) -> Turn | None:
        found = self._turns.get(number)
        if found is None:
            return None
        self._turns.move_to_end(number)
        return found[0]

    def put(self, number: int, turn: Turn, size: int) -> None:
        """Take a turn in; `size` is that of its events, or of the last one."""
        if number in self._turns:
            self._bytes -= self._turns.pop(number)[1]
        self._turns[number] = turn, size
        self._bytes += size

    def trim(self) -> None:
        """Let go of turns; not while an event is folded, which may need several at once."""
        while len(self._turns) > 1 and (
            len(self._turns) > _KEPT_TURNS or self._bytes > _KEPT_BYTES
        ):
            self._bytes -= self._turns.popitem(last=False)[1][1]


def read_turns(
    timeline: Timeline, decoder: Decoder, turns: Sequence[int], at: int, *, parents: bool
) -> Steps[list[tuple[Turn, int]]]:
    """Some turns as they were after event `at`, and how many bytes their events have. Each is
    folded from its own events alone: no others touch it, but for its place among the turns, which
    the timeline knows. Without `parents` the ids of the turns that they follow are left out.

    Raises `Gap` when the log does not hold the events.
    """
    names: dict[int, str] = {}
    wanted: list[tuple[int, int]] = []
    if parents:
        before = {timeline.parents[turn] for turn in turns} - {-1, *turns}
        wanted += [(timeline.starts[parent], parent) for parent in sorted(before)]
    read = len(wanted)
    wanted += [(seq, turn) for turn in turns for seq in timeline.events_of(turn, at)]
    found: dict[int, _Alone] = {}
    done = 0
    while done < len(wanted):
        events = yield Places([seq for seq, _ in wanted[done : done + CHUNK_EVENTS]])
        if not events:
            raise Gap
        for event in events:
            seq, turn = wanted[done]
            decoded = decoder.decoded(event, seq)
            names[turn] = decoded.data["turn_id"]
            if done >= read:
                found.setdefault(turn, _Alone()).fold(decoded, len(event.stored.raw))
            done += 1
    for number, alone in found.items():
        alone.turn["branch_id"] = timeline.branch_id(timeline.branch_of[number])
        alone.turn["parent_turn_id"] = names.get(timeline.parents[number])
    return [(found[number].turn, found[number].size) for number in turns]


class _Alone:
    """One turn, folded as if the session had no other."""

    turn: Turn

    def __init__(self) -> None:
        self.size = 0
        self._session: Session | None = None
        self._rows = MemoryRows()

    def fold(self, event: RecordedEvent, size: int) -> None:
        changes = fold(self._session, self._rows, event)
        self._rows.apply(changes)
        self._session = changes.session
        self.size += size
        [self.turn] = changes.turns
