"""Whatever a log holds, each of its moments, taken from timeline and log, is what the pure fold of
the events so far makes of it."""

import pickle
import random
from dataclasses import replace
from typing import Any

import pytest
from appending import NewEvent, event, turn
from histories import EVENTS
from hypothesis import given, settings
from hypothesis import strategies as st
from pasttruth import Moment, erased_turns, moments_of, plain
from pydantic_core import from_json

from turnlog_api import moments, timeline, walking
from turnlog_api.logsteps import Decoder, LogEvent, Span, Unfoldable, Wanted, run
from turnlog_api.queries import Window
from turnlog_api.timeline import Timeline
from turnlog_projector.log import SessionKey, StoredEvent

KEY = SessionKey(0, "default", "s")
SLOW = settings(deadline=None, derandomize=True)


class Log:
    """A log in memory, that answers in chunks of any size."""

    def __init__(self, events: list[NewEvent], *, chunk: int = 500) -> None:
        self.events: list[LogEvent] = []
        self.chunk = chunk
        self.asked = 0
        known: dict[str, int] = {}
        for seq, each in enumerate(events, 1):
            stored = StoredEvent(seq, each.event_id, 1_600_000_000_000 + seq, each.raw)
            self.events.append(LogEvent(stored, known.get(each.event_id)))
            known.setdefault(each.event_id, seq)

    def __call__(self, wanted: Wanted) -> list[LogEvent]:
        self.asked += 1
        if isinstance(wanted, Span):
            return self.events[wanted.first - 1 : wanted.last][: self.chunk]
        return [self.events[seq - 1] for seq in wanted.seqs[: self.chunk]]


def page(line: Timeline, log: Log, decoder: Decoder, at: int, window: Window) -> Any:
    """Session and turns of a moment, as the API would answer them."""
    session = run(moments.moment(line, decoder, at), log)
    found = run(moments.turns_page(line, decoder, session, window), log)
    return session, from_json(b"[" + found.items + b"]"), found


def check(line: Timeline, log: Log, decoder: Decoder, at: int, true: Moment, limit: int) -> None:
    """One moment in full, in both directions, and each of its branches."""
    expected = true.turns()
    for descending in (False, True):
        window = Window(limit=1000, descending=descending)
        session, items, found = page(line, log, decoder, at, window)
        assert session == true.session
        assert items == (expected[::-1] if descending else expected)
        assert found.last_seq is None
        assert found.total_count == len(expected) or session["branches"] <= 1
    _, items, found = page(line, log, decoder, at, Window(limit=limit))
    assert items == expected[:limit]
    assert found.last_seq == (expected[limit - 1]["seq"] if len(expected) > limit else None)
    _, items, _ = page(line, log, decoder, at, Window(limit=1000, after=3, before=9))
    assert items == [each for each in expected if 3 < each["seq"] < 9]
    stubs = Window(limit=1000, retracted=True)
    _, items, _ = page(line, log, decoder, at, stubs)
    if true.session["branches"] == 1:
        turns = plain(true.rows.turns.values())
        assert items == [each for each in turns if each["seq"] > true.session["floor"]]
    for branch_id in {*true.rows.branches, "main", "b007"}:
        _, items, found = page(line, log, decoder, at, Window(limit=1000, branch=branch_id))
        assert found.branch_found == (branch_id in true.rows.branches)
        if found.branch_found:
            assert items == true.turns(branch_id)
            assert found.total_count == len(items)


@settings(SLOW, max_examples=60)
@given(
    events=st.lists(EVENTS, min_size=6, max_size=30),
    chunk=st.sampled_from([1, 3, 500]),
    marks=st.sampled_from([1, 2, 7, 500]),
    kept=st.sampled_from([1, 2, 2000]),
    steps=st.lists(st.integers(1, 25), min_size=1, max_size=4),
    skips=st.frozensets(st.integers(1, 25), max_size=3),
    erased=st.sampled_from(["in the log", "on its way"]),
)
def test_every_moment_is_the_fold_of_the_events_so_far(
    events: list[NewEvent],
    chunk: int,
    marks: int,
    kept: int,
    steps: list[int],
    skips: frozenset[int],
    erased: str,
) -> None:
    log = Log(events, chunk=chunk)
    decoder = Decoder(KEY, skips, erased_turns(log.events) if erased == "on its way" else {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walking, "_KEPT_TURNS", kept)
        patch.setattr(timeline, "MAX_MARKS", 4)
        patch.setattr(timeline, "_FRESH_IDS", kept)
        line = Timeline(every=marks)
        for upto in [*sorted(steps), len(events)]:
            if upto <= len(events):
                line = run(moments.extend(line, decoder, upto), log)
        known = 0
        for at, true in enumerate(moments_of(log.events, decoder), 1):
            check(line, log, decoder, at, true, limit=2)
            known = at
        assert line.upto == known
        if known < len(events):
            with pytest.raises(Unfoldable) as stopped:
                run(moments.moment(line, decoder, len(events)), log)
            assert stopped.value.seq == known + 1


def busy(chance: random.Random, count: int) -> list[NewEvent]:
    """A history in which turns are changed, retracted and answered anew all the time."""
    made: list[NewEvent] = []
    for number in range(count):
        known = f"t{chance.randrange(max(number, 1))}"
        newest = f"t{number - 1}"
        kind = chance.random()
        if kind < 0.4:
            made.append(turn(f"t{number}", f"text {number}"))
        elif kind < 0.55:
            parent = chance.choice([known, known, newest, None])
            made.append(turn(f"t{number}", parent_turn_id=parent))
        elif kind < 0.75:
            made.append(event("turn.retracted", {"turn_id": chance.choice([known, newest])}))
        elif kind < 0.8:
            made.append(event("turn.edited", {"turn_id": known, "content": f"edit {number}"}))
        elif kind < 0.85:
            rating = {"turn_id": known, "kind": "rating", "value": number, "by": "u"}
            made.append(event("turn.annotated", rating))
        elif kind < 0.95:
            branch = f"b{chance.randrange(number + 1)}" if chance.random() < 0.7 else "main"
            made.append(event("session.updated", {"branch": branch}))
        elif kind < 0.97:
            made.append(event("turn.erased", {"turn_id": known}))
        else:
            made.append(event("session.cleared"))
    return made


@pytest.mark.parametrize("seed", range(8))
def test_every_moment_of_a_busy_history_is_the_fold(seed: int) -> None:
    chance = random.Random(seed)
    log = Log(busy(chance, 70), chunk=chance.choice([1, 10, 500]))
    decoder = Decoder(KEY, erased=chance.choice([{}, erased_turns(log.events)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walking, "_KEPT_TURNS", chance.choice([1, 3]))
        line = run(moments.extend(Timeline(every=chance.choice([1, 20, 500])), decoder, 70), log)
        for at, true in enumerate(moments_of(log.events, decoder), 1):
            check(line, log, decoder, at, true, limit=3)


def test_a_long_history_is_kept_small_and_without_text() -> None:
    events = [turn(f"t{number:05d}-{'x' * 30}", "secret words " * 40) for number in range(12_000)]
    log, decoder = Log(events), Decoder(KEY)
    line = run(moments.extend(Timeline(), decoder, 12_000), log)
    assert line.weight < 150 * 12_000
    without_marks = pickle.dumps(replace(line, marks=[], session=None))
    assert len(without_marks) < 60 * 12_000
    assert b"secret" not in without_marks
    log.asked = 0
    page(line, log, decoder, 7_777, Window(limit=100, after=5_000))
    assert log.asked <= 3  # events since the last mark, those of the page, the parent before it
