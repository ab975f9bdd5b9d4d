"""A worked example of changing an event type: version 1 of turn.retracted tells its reason as a
text; version 2 has a `why` of code and text. Both fold, and no stored byte changes.

What a maintainer writes stands here as `why`, `lifted` and `retracted`; docs/replay.md shows where
these belong.
"""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from appending import event, foreign, turn
from pydantic import BaseModel, ConfigDict, TypeAdapter
from rig import Rig
from truth import read_archive, read_streams, read_tables
from verifying import run_verify

from turnlog_projector.lines import TABLES
from turnlog_projector.parking import list_parked, retry
from turnlog_projector.replay import replay
from turnlog_schemas import codec, upcast
from turnlog_schemas import fold as fold_module
from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.events import CURRENT_VERSION
from turnlog_schemas.rows import Changes, Rows, Session

pytestmark = pytest.mark.integration


class Why(BaseModel):
    """Why a turn was retracted."""

    model_config = ConfigDict(extra="allow", strict=True)

    code: str
    text: str | None = None


class TurnRetracted(BaseModel):
    """The data of version 2, as it would stand in events.py."""

    model_config = ConfigDict(extra="allow", strict=True)

    turn_id: str
    why: Why


def lifted(data: dict[str, Any]) -> dict[str, Any]:
    """From version 1 to version 2, as it would stand in upcast.py."""
    kept = {key: value for key, value in data.items() if key != "reason"}
    return {**kept, "why": {"code": "unknown", "text": data.get("reason")}}


def retracted(session: Session, rows: Rows, given: RecordedEvent) -> Changes:
    """The handler of version 2, as it would stand in fold.py: version 1 is nowhere to be seen."""
    why = given.data["why"]
    text = why.get("text")
    reason = text if why["code"] == "unknown" else f"{why['code']}: {text}"
    given.data = {**given.data, "reason": reason}
    return fold_module._turn_retracted(session, rows, given)  # pyright: ignore[reportPrivateUsage]


@contextmanager
def next_release() -> Generator[None]:
    """Turnlog as it is when version 2 has been released."""
    name = "turn.retracted"
    validators = codec._data  # pyright: ignore[reportPrivateUsage]
    handlers = fold_module._HANDLERS  # pyright: ignore[reportPrivateUsage]
    with ExitStack() as stack:
        stack.enter_context(patch.dict(CURRENT_VERSION, {name: 2}))
        stack.enter_context(patch.dict(upcast.UPCASTERS, {(name, 1): lifted}))
        stack.enter_context(patch.dict(validators, {name: TypeAdapter(TurnRetracted).validator}))
        stack.enter_context(patch.dict(handlers, {name: retracted}))
        yield


def reasons(rig: Rig, generation: int) -> dict[str, Any]:
    """Turn -> why it was retracted, as the read models show it."""
    found: dict[str, Any] = {}
    for row in read_tables(rig.connection, generation)["turns"]:
        body = codec.from_json(row[TABLES["turns"].columns.index("body")])
        if body["status"] == "retracted":
            found[row[2]] = body["reason"]
    return found


def test_version_1_folds_after_version_2_exists_and_its_bytes_stay(rig: Rig) -> None:
    rig.writer.append("s", *[turn(f"t{number}") for number in range(4)])
    rig.writer.append("s", event("turn.retracted", {"turn_id": "t0", "reason": "a slip"}))
    rig.writer.append("s", event("turn.retracted", {"turn_id": "t1"}))
    projection = rig.projection()
    rig.drain(projection)
    stored = read_archive(rig.connection)
    streamed = read_streams(rig.client, [("default", "s")], rig.partitions)
    before = reasons(rig, 1)
    assert before == {"t0": "a slip", "t1": None}
    with next_release():
        assert run_verify(rig)[1] == [], "what version 1 folded to is what it folds to now"
        why = {"turn_id": "t2", "why": {"code": "spam", "text": "an advert"}}
        rig.writer.append("s", foreign("turn.retracted", why, version=2))
        rig.drain(projection)
        replay(rig.postgres_url, tell=lambda _: None)
        assert reasons(rig, 1) == reasons(rig, 2) == {**before, "t2": "spam: an advert"}
        assert run_verify(rig)[1] == []
    assert read_archive(rig.connection)[: len(stored)] == stored
    now = read_streams(rig.client, [("default", "s")], rig.partitions)["default", "s"]
    assert now[: len(stored)] == streamed["default", "s"]
    assert {codec.from_json(entry.raw)["version"] for entry in now} == {1, 2}


def test_a_release_that_does_not_know_version_2_waits_with_it(rig: Rig) -> None:
    """As during an upgrade, when producers are ahead of the projectors."""
    why = {"turn_id": "t0", "why": {"code": "spam"}}
    rig.writer.append("s", turn("t0"), foreign("turn.retracted", why, version=2), turn("t1"))
    rig.writer.append("other", turn("t0"))
    rig.drain(rig.projection())
    assert [(parked.session_id, parked.seq) for parked in list_parked(rig.connection)] == [("s", 2)]
    with next_release():
        retry(rig.projection(), "default", "s")
        assert list_parked(rig.connection) == []
        assert reasons(rig, 1) == {"t0": "spam: None"}
        assert run_verify(rig)[1] == []


def test_a_fault_of_an_upcaster_parks_its_session_alone(rig: Rig) -> None:
    def faulty(data: dict[str, Any]) -> dict[str, Any]:
        return {"turn_id": data["id"]}

    rig.writer.append("s", turn("t0"), event("turn.retracted", {"turn_id": "t0"}))
    rig.writer.append("other", turn("t0"))
    with next_release(), patch.dict(upcast.UPCASTERS, {("turn.retracted", 1): faulty}):
        rig.drain(rig.projection())
        [parked] = list_parked(rig.connection)
        assert (parked.session_id, parked.seq) == ("s", 2)
        assert "cannot be lifted" in parked.error
