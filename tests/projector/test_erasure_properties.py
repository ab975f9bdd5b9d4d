"""Whatever is appended, erased and repeated, in whatever batches: nothing that was erased is left,
nothing else is gone, and the rows are those that the log folds to."""

from typing import Any, NamedTuple

import pytest
from appending import NewEvent, event, foreign, poison, turn
from dumping import dump_postgres, dump_redis, holding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import Rig, patched
from stage import Stage
from truth import read_tables

from turnlog_projector import projection as projection_module
from turnlog_projector import refold

pytestmark = pytest.mark.integration

SLOW = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

SESSIONS = ["s0", "s1"]
TURNS = ["t0", "t1", "t2"]


class Step(NamedTuple):
    """One event of a history: its kind, and the turn and the parent that it names."""

    session_id: str
    kind: str
    turn_id: str
    parent: str | None


KINDS = [
    *("turn.appended", "turn.appended", "turn.started", "turn.completed", "turn.interrupted"),
    *("turn.edited", "turn.retracted", "turn.annotated", "turn.erased", "turn.erased"),
    *("unknown", "unreadable", "session.updated", "session.cleared"),
]
_KIND = st.integers(0, 60).flatmap(
    lambda dice: st.just("session.erased") if dice == 0 else st.sampled_from(KINDS)
)
_STEPS = st.builds(
    Step,
    st.sampled_from(SESSIONS),
    _KIND,
    st.sampled_from(TURNS),
    st.none() | st.sampled_from(TURNS),
)


def mark(session_id: str, about: str, number: int) -> str:
    """What is written in an event: it stands nowhere else."""
    return f"secret/{session_id}/{about}/{number}/"


def make(step: Step, number: int) -> NewEvent:
    """An event with a text of its own wherever one may stand."""
    session_id, kind, turn_id, parent = step
    text = mark(session_id, turn_id, number)
    below: dict[str, Any] = {} if parent is None else {"parent_turn_id": parent}
    whole = {"turn_id": turn_id, "role": "user", "content": text, "metadata": {"a": text}, **below}
    usage = {"usage": {"output_tokens": number}}
    actor = {"kind": "user", "name": text}
    match kind:
        case "turn.appended":
            return turn(turn_id, text, name=text, **usage, **below)
        case "turn.started":
            data = {"turn_id": turn_id, "role": "assistant", "name": text, **below}
            return event(kind, data, actor=actor)
        case "turn.completed" | "turn.interrupted":
            return event(kind, {**whole, **usage}, actor=actor)
        case "turn.edited":
            return event(kind, {"turn_id": turn_id, "content": text, "reason": text})
        case "turn.annotated":
            return event(kind, {"turn_id": turn_id, "kind": "comment", "value": text, "by": "u"})
        case "turn.retracted":
            return event(kind, {"turn_id": turn_id, "reason": text})
        case "turn.erased":
            return event(kind, {"turn_id": turn_id})
        case "unknown":
            return foreign("turn.sung", {"by": [turn_id], "verse": text, **below})
        case "unreadable":
            return poison(f'{{"turn_id":"{turn_id}","content":"{text}'.encode())
        case "session.updated":
            return event(kind, {"title": mark(session_id, "title", number)})
        case _:
            return event(kind)


def expected(steps: list[Step]) -> tuple[set[str], set[str]]:
    """The texts that must be gone, and those that must be left."""
    gone: set[str] = set()
    texts: dict[str, tuple[str, str]] = {}
    closed: set[str] = set()
    erased: set[tuple[str, str]] = set()
    for number, step in enumerate(steps):
        if step.session_id in closed:
            continue
        if step.kind == "session.erased":
            closed.add(step.session_id)
        elif step.kind == "turn.erased":
            erased.add((step.session_id, step.turn_id))
        elif step.kind == "session.updated":
            text = mark(step.session_id, "title", number)
            texts[text] = (step.session_id, "title")
        elif step.kind != "session.cleared":
            text = mark(step.session_id, step.turn_id, number)
            texts[text] = (step.session_id, step.turn_id)
    for text, (session_id, about) in texts.items():
        if session_id in closed or (session_id, about) in erased:
            gone.add(text)
    return gone, texts.keys() - gone


@pytest.fixture
def stage(rig: Rig) -> Stage:
    """A log that is empty at the start of every example."""
    return Stage(rig)


@settings(SLOW, max_examples=40)
@given(
    steps=st.lists(_STEPS, min_size=15, max_size=40),
    cuts=st.lists(st.integers(1, 9), min_size=2, max_size=12),
    batch=st.sampled_from([1, 3, 2000]),
    chunk=st.sampled_from([1, 4, 2000]),
)
def test_nothing_erased_is_left_and_nothing_else_is_gone(
    stage: Stage, steps: list[Step], cuts: list[int], batch: int, chunk: int
) -> None:
    stage.clear()
    rig = stage.rig
    numbered = list(enumerate(steps))
    with (
        patched(projection_module, "MAX_BATCH_EVENTS", batch),
        patched(refold, "CHUNK_EVENTS", chunk),
    ):
        for who, cut in enumerate([*cuts, len(steps)]):
            taken, numbered = numbered[:cut], numbered[cut:]
            for number, step in taken:
                stage.append(step.session_id, [make(step, number)])
            stage.project(who % 2, "none")
        rig.drain(stage.workers[0])
    rig.check()
    gone, kept = expected(steps)
    archive = dump_postgres(rig.connection)
    everywhere = {**archive, **dump_redis(rig.client)}
    assert {text for text in gone if holding(everywhere, text)} == set()
    log = {"archive": archive["turnlog.archive"]}
    assert {text for text in kept if not holding(log, text)} == set()
    rows = read_tables(rig.connection, stage.generation())
    for _ in range(2):
        stage.replay()
        assert read_tables(rig.connection, stage.generation()) == rows
    rig.check()
