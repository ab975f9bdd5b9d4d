"""Whatever is appended, however it is batched, whoever projects it and wherever that breaks off:
the read models equal the pure fold of the log, and so does every replay. Whatever Redis loses, the
archive gives it back."""

from typing import Any

import pytest
from histories import APPENDS, SESSIONS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from losses import Losses
from rig import Rig, patched
from stage import FAULTS, Stage
from truth import read_tables

from turnlog_projector import batch as batch_module
from turnlog_projector import following, rebuild
from turnlog_projector import projection as projection_module

pytestmark = pytest.mark.integration

SLOW = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def stage(rig: Rig) -> Stage:
    """A log that is empty at the start of every example."""
    return Stage(rig)


_PROJECT = st.tuples(st.integers(0, 1), st.sampled_from([*FAULTS, "settle", "audit"]))


@settings(SLOW, max_examples=40)
@given(
    steps=st.lists(st.one_of(APPENDS, APPENDS, _PROJECT), max_size=30),
    batch=st.sampled_from([1, 3, 7, 2000]),
    size=st.sampled_from([1, 500, 5_000_000]),
    large=st.sampled_from([0, 3, 5000]),
    copied=st.sampled_from([1, 5, 500]),
)
def test_read_models_equal_the_fold_of_the_log(
    stage: Stage, steps: list[Any], batch: int, size: int, large: int, copied: int
) -> None:
    stage.clear()
    with (
        patched(projection_module, "MAX_BATCH_EVENTS", batch),
        patched(projection_module, "MAX_BATCH_BYTES", size),
        patched(batch_module, "LARGE_BATCH_EVENTS", copied),
    ):
        for first, second in steps:
            if isinstance(first, str):
                stage.append(first, second)
            else:
                stage.project(first, second)
        for worker in stage.workers:
            stage.rig.drain(worker)
    stage.rig.check()
    live = read_tables(stage.rig.connection, stage.generation())
    with patched(rebuild, "LARGE_SESSION_EVENTS", large), patched(following, "CHUNK_EVENTS", batch):
        stage.replay()
    assert read_tables(stage.rig.connection, stage.generation()) == live
    stage.rig.check()
    stage.replay()
    assert read_tables(stage.rig.connection, stage.generation()) == live


_NAMES = st.sampled_from(SESSIONS)
_LOSSES = st.one_of(
    st.tuples(st.just("append"), _NAMES),
    st.tuples(st.just("append"), _NAMES),
    st.tuples(st.just("again"), st.integers(0, 30)),
    st.tuples(st.just("project"), st.integers(0, 1)),
    st.tuples(st.just("copy"), st.none()),
    st.tuples(st.just("restore"), st.none()),
    st.tuples(st.just("no ids"), _NAMES),
    st.tuples(st.just("no head"), _NAMES),
    st.tuples(st.just("no stream"), _NAMES),
    st.tuples(st.just("no index entry"), _NAMES),
)


@settings(SLOW, max_examples=80)
@given(steps=st.lists(_LOSSES, max_size=40))
def test_whatever_redis_loses_comes_back_once(stage: Stage, steps: list[tuple[str, Any]]) -> None:
    stage.clear()
    losses = Losses(stage)
    for what, which in steps:
        losses.step(what, which)
    for worker in stage.workers:
        stage.rig.audit_all(worker)
    stage.rig.check()
    losses.check()
