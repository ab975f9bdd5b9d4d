"""A head that is made anew says whose the session is, and whether it is erased, whatever can be
folded of it."""

from typing import cast

import pytest
from appending import NewEvent, event, foreign, poison, turn
from redis.exceptions import ResponseError
from rig import Rig

from turnlog_producers.head import Head
from turnlog_producers.scripts import load_script

pytestmark = pytest.mark.integration


def head(rig: Rig, session_id: str) -> Head:
    keys = rig.writer.keys(session_id)
    return Head.parse(cast(bytes, rig.client.hget(keys.heads, keys.field)))


def lose(rig: Rig, session_id: str, *, stream: bool) -> None:
    """The head goes, and with it, if wanted, everything else that Redis has of the session."""
    keys = rig.writer.keys(session_id)
    rig.client.hdel(keys.heads, keys.field)
    if stream:
        rig.client.delete(keys.stream, keys.ids)


def started_in_the_future() -> NewEvent:
    """A session.started that this release cannot fold."""
    made = foreign("session.started", {"user_id": "u1", "new": 1}, version=2)
    return made._replace(mark="s")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("first", ["future", "poison"])
def test_a_parked_session_keeps_its_owner(rig: Rig, first: str, stream: bool) -> None:
    if first == "future":
        rig.writer.append("s", started_in_the_future(), turn("t0"), owner="u1")
    else:
        started = event("session.started", {"user_id": "u1"})
        rig.writer.append("s", poison(), started, turn("t0"), owner="u1")
    projection = rig.projection()
    rig.drain(projection)
    before = head(rig, "s")
    lose(rig, "s", stream=stream)
    rig.audit_all(projection)
    assert head(rig, "s") == before
    assert before.owner == "u1"
    keys, args = rig.writer.call("s", [turn("t1")])
    args[2] = "u2"
    with pytest.raises(ResponseError, match="NOT_OWNER"):
        rig.client.evalsha(load_script("append").sha, len(keys), *keys, *args)


@pytest.mark.parametrize("stream", [True, False])
def test_a_parked_session_stays_erased(rig: Rig, stream: bool) -> None:
    rig.writer.append("s", poison(), event("session.started", {"user_id": "u1"}), owner="u1")
    rig.writer.append("s", event("session.erased"))
    projection = rig.projection()
    rig.drain(projection)
    lose(rig, "s", stream=stream)
    rig.audit_all(projection)
    assert head(rig, "s").erased
    with pytest.raises(ResponseError, match="ERASED"):
        rig.writer.append("s", turn("late"))


def test_what_was_not_archived_yet_counts_as_well(rig: Rig) -> None:
    rig.writer.append("s", turn("t0"))
    projection = rig.projection()
    rig.drain(projection)
    rig.writer.append("s", event("session.started", {"user_id": "u1"}), owner="u1")
    lose(rig, "s", stream=False)
    rig.audit_all(projection)
    assert head(rig, "s").owner == "u1"
    rig.check()


def test_an_owner_that_the_fold_does_not_take_is_none(rig: Rig) -> None:
    """The first session.started counts; what a second one claims changes nothing."""
    rig.writer.append("s", event("session.started", {"user_id": "u1"}), owner="u1")
    rig.writer.append("s", poison(), event("session.started", {"user_id": "u2"}))
    projection = rig.projection()
    rig.drain(projection)
    lose(rig, "s", stream=True)
    rig.audit_all(projection)
    assert head(rig, "s").owner == "u1"
