"""What stays of an event that was erased: given its bytes, then these."""

from typing import Any

import pytest
from given import START_MS, Given, at
from pydantic_core import from_json, to_json

from turnlog_schemas.codec import RecordedEvent, decode, encode
from turnlog_schemas.erasure import (
    WHOLE_SESSION,
    Stored,
    TurnStub,
    erasing_event,
    lawful,
    session_stub,
    tombstone,
    turn_stub,
)
from turnlog_schemas.errors import InvalidEvent
from turnlog_schemas.fold import fold, needs

SECRET = "hunter2"


def stored(type_: str, data: dict[str, Any], *, seq: int = 1, **envelope: Any) -> Stored:
    """An event as a producer of a later release, or of another language, might send it."""
    whole = {"event_id": f"e{seq}", "type": type_, "version": 1, "at": at(seq), **envelope}
    return Stored(seq, f"e{seq}", START_MS + seq * 1000, to_json({**whole, "data": data}))


def read(raw: TurnStub | bytes | None, *, seq: int = 1) -> RecordedEvent:
    assert raw is not None
    if isinstance(raw, TurnStub):
        raw = raw.raw
    recorded_at = START_MS + seq * 1000
    return decode(raw, tenant="acme", session_id="s-1", seq=seq, recorded_at=recorded_at)


WHOLE_TURN: dict[str, Any] = {
    "turn_id": "t1",
    "role": "tool",
    "content": SECRET,
    "name": SECRET,
    "tool_calls": [{"arguments": SECRET}],
    "tool_call_id": SECRET,
    "artifacts": [{"id": SECRET, "url": SECRET}],
    "model": "m-1",
    "usage": {"input_tokens": 3, "cached": 1, "note": SECRET, SECRET + "!": 4},
    "response_time_ms": 7.5,
    "parent_turn_id": None,
    "metadata": {SECRET: SECRET},
    "more": SECRET,
}


@pytest.mark.parametrize("type_", ["turn.appended", "turn.completed", "turn.interrupted"])
def test_a_stub_of_a_turn_keeps_its_place_and_its_costs(type_: str) -> None:
    actor = {"kind": "user", "id": SECRET, "name": SECRET}
    event = stored(type_, WHOLE_TURN, actor=actor, trace={"id": SECRET}, extra=SECRET)
    stub = turn_stub(event, {"t1": 5})
    assert stub is not None
    assert from_json(stub.raw) == {
        "event_id": "e1",
        "type": type_,
        "version": 1,
        "at": at(1),
        "erased": 5,
        "data": {
            "turn_id": "t1",
            "role": "tool",
            "parent_turn_id": None,
            "model": "m-1",
            "usage": {"input_tokens": 3, "cached": 1},
            "response_time_ms": 7.5,
        },
    }


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("turn.edited", {"content": SECRET, "reason": SECRET}),
        ("turn.retracted", {"reason": SECRET}),
        ("turn.annotated", {"kind": "comment", "value": SECRET, "by": SECRET}),
        ("turn.sung", {"verse": SECRET}),
        ("turn.completed", {"role": "nobody", "content": SECRET}),
    ],
)
def test_of_what_else_tells_of_the_turn_its_stub_keeps_the_turn(
    type_: str, data: dict[str, Any]
) -> None:
    stub = read(turn_stub(stored(type_, {"turn_id": "t1", **data}), {"t1": 5}))
    assert (stub.type, stub.data, stub.erased) == (type_, {"turn_id": "t1"}, 5)


def test_an_event_of_a_later_version_is_covered() -> None:
    event = stored("turn.appended", {"id": "t1", "text": SECRET}, version=9)
    assert read(turn_stub(event, {"t1": 5})).data == {"turn_id": "t1"}


@pytest.mark.parametrize(
    "data",
    [
        {"deep": [{"of": "t1", "text": SECRET}]},
        {"t1": SECRET},
    ],
)
def test_an_unknown_event_names_a_turn_by_its_id_anywhere(data: dict[str, Any]) -> None:
    assert read(turn_stub(stored("note.made", data), {"t1": 5})).erased == 5


@pytest.mark.parametrize(
    "raw",
    [
        b'{"event_id":"e1","data":{"turn_id":"t1","content":"hunter2',
        b"t1 hunter2",
        b"\xff\xfe t1:hunter2",
        b'["t1","hunter2"]',
    ],
)
def test_what_cannot_be_read_is_covered_when_the_id_stands_in_it(raw: bytes) -> None:
    stub = read(turn_stub(Stored(1, "e1", START_MS, raw), {"t1": 5}))
    assert (stub.type, stub.at) == ("event.unreadable", "2026-01-01T00:00:00.000000Z")


@pytest.mark.parametrize(
    "event",
    [
        stored("turn.appended", {"turn_id": "t2", "role": "user", "parent_turn_id": "t1"}),
        stored("turn.appended", {"turn_id": "t2", "role": "user", "content": "see t1"}),
        stored("turn.sung", {"turn_id": "t2", "parent_turn_id": "t1"}),
        stored("session.updated", {"title": "t1"}),
        stored("turn.erased", {"turn_id": "t1"}),
        stored("session.erased", {}),
        Stored(1, "e1", START_MS, b"not t1.5 either"),
    ],
)
def test_other_turns_and_the_erasure_itself_stay(event: Stored) -> None:
    assert turn_stub(event, {"t1": 5}) is None


def test_an_id_that_json_has_escaped_is_found() -> None:
    raw = stored("turn.appended", {**WHOLE_TURN, "turn_id": "t1"}).raw
    event = Stored(1, "e1", START_MS, raw.replace(b'"t1"', b'"\\u00741"'))
    assert read(turn_stub(event, {"t1": 5})).data["turn_id"] == "t1"


def test_a_stub_stays_as_it_is_when_its_turn_is_erased_again() -> None:
    event = stored("turn.appended", WHOLE_TURN)
    stub = turn_stub(event, {"t1": 5})
    assert stub is not None
    assert turn_stub(event._replace(raw=stub.raw), {"t1": 9}) is None


@pytest.mark.parametrize(
    "event",
    [
        stored("turn.appended", WHOLE_TURN, actor={"kind": "user", "name": SECRET}),
        stored("session.started", {"user_id": SECRET, "title": SECRET}),
        stored("session.sung", {"x": SECRET}, trace={"x": SECRET}),
        stored("Hunter2!", {"x": SECRET}, at=SECRET, version=SECRET),
        Stored(1, "e1", START_MS, b'{"half": "hunter2'),
        Stored(1, "e1", START_MS, b"[[" * 3000),
        Stored(1, "e1", START_MS, b'{"type": 1, "data": []}'),
    ],
)
def test_of_an_erased_session_an_event_keeps_no_data(event: Stored) -> None:
    raw = session_stub(event, 9)
    assert SECRET.encode() not in raw.lower()
    stub = read(raw)
    assert (stub.event_id, stub.data, stub.erased) == ("e1", {}, 9)


def test_a_tombstone_keeps_no_name() -> None:
    bare = stored("session.erased", {})
    assert tombstone(bare) == bare.raw
    actor = {"kind": "user", "id": SECRET, "name": SECRET}
    named = stored("session.erased", {"why": SECRET}, actor=actor, trace={"id": SECRET})
    assert SECRET.encode() not in tombstone(named)
    assert read(tombstone(named)).actor == {"kind": "user"}


@pytest.mark.parametrize(
    ("event", "erased"),
    [
        (stored("turn.erased", {"turn_id": "t1"}), "t1"),
        (stored("session.erased", {}), WHOLE_SESSION),
        (stored("turn.erased", {"turn_id": 1}), None),
        (stored("turn.erased", {"turn_id": "t1"}, version=9), None),
        (stored("turn.appended", {"turn_id": "t1", "role": "user", "content": "x.erased"}), None),
        (Stored(1, "e1", START_MS, b".erased"), None),
    ],
)
def test_which_events_erase(event: Stored, erased: str | None) -> None:
    assert erasing_event(event) == erased


def test_a_repeat_erases_nothing() -> None:
    assert erasing_event(stored("session.erased", {}), repeat_of=1) is None


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"turn_id": "t1", "content": SECRET}},
        {"data": {"role": "user"}},
        {"erased": True},
        {"erased": 0},
        {"erased": "1"},
        {"trace": {"x": SECRET}},
    ],
)
def test_nothing_else_may_call_itself_erased(change: dict[str, Any]) -> None:
    stub = turn_stub(stored("turn.appended", WHOLE_TURN), {"t1": 5})
    assert stub is not None
    envelope = from_json(stub.raw)
    with pytest.raises(InvalidEvent, match="only an erasure may write it"):
        read(to_json({**envelope, **change}))


def test_a_stub_is_lawful_where_its_turn_or_its_session_is_erased() -> None:
    turn = read(turn_stub(stored("turn.appended", WHOLE_TURN), {"t1": 5}))
    session = read(session_stub(stored("turn.appended", WHOLE_TURN), 5))
    assert lawful(turn, {"t1"})
    assert lawful(turn, {WHOLE_SESSION})
    assert lawful(session, {WHOLE_SESSION})
    assert not lawful(turn, {"t2"})
    assert not lawful(session, {"t1"})


# How stubs fold


def after_erasure(given: Given, turn_id: str) -> Given:
    """The same events once the turn is erased: folded afresh, as the projector does it."""
    given.when("turn.erased", turn_id=turn_id)
    seq = len(given.events)
    afresh = Given()
    for event in given.events:
        raw = encode(event.type, event.data, event_id=event.event_id, at=event.at)
        stub = turn_stub(Stored(event.seq, event.event_id, event.recorded_at, raw), {turn_id: seq})
        afresh.fold(read(stub or raw, seq=event.seq))
    return afresh


def test_stubs_leave_the_turns_around_as_they_were() -> None:
    given = Given().user("t0").user("t1", SECRET).assistant("t2").user("t3", parent_turn_id="t1")
    before = [{**given.turn(id_)} for id_ in ("t0", "t2", "t3")]
    afresh = after_erasure(given, "t1")
    assert [{**afresh.turn(id_)} for id_ in ("t0", "t2", "t3")] == before
    assert afresh.now == given.now
    assert afresh.rows.turns == given.rows.turns
    assert afresh.rows.branches == given.rows.branches
    assert afresh.turn("t1")["status"] == "retracted"


def test_the_costs_of_an_erased_turn_stay() -> None:
    given = Given().when("turn.started", turn_id="t1", role="assistant")
    given.when("turn.interrupted", turn_id="t1", role="assistant", usage={"output_tokens": 2})
    given.when("turn.completed", turn_id="t1", role="assistant", usage={"output_tokens": 5})
    given.when("turn.completed", turn_id="t1", role="assistant", usage={"output_tokens": 50})
    assert after_erasure(given, "t1").now["usage"] == {"output_tokens": 5}


def test_the_title_comes_from_the_next_turn_and_one_set_by_a_person_stays() -> None:
    given = Given().user("t1", SECRET).user("t2", "Revenue")
    assert after_erasure(given, "t1").title == ("Revenue", "turn")
    given = Given().user("t1", SECRET).when("session.updated", title="Mine")
    afresh = after_erasure(given, "t1")
    assert afresh.title == ("Mine", "user")
    assert [title["title"] for title in afresh.rows.titles.values()] == ["Mine"]


@pytest.mark.parametrize("type_", ["turn.appended", "turn.started", "turn.completed"])
def test_a_turn_that_comes_after_its_erasure_is_never_seen(type_: str) -> None:
    given = Given().user("t0").when("turn.erased", turn_id="t1")
    late = stored(type_, {**WHOLE_TURN, "parent_turn_id": "t0"}, seq=3)
    given.fold(read(turn_stub(late, {"t1": 2}), seq=3))
    given.user("t2")
    assert given.shown == ["t0", "t2"]
    assert given.now["turn_count"] == 2
    assert given.turn("t1")["status"] == "retracted"
    assert given.turn("t2")["parent_turn_id"] == "t1"


def test_stubs_of_an_erased_session_fold_to_nothing_but_their_place() -> None:
    given = Given()
    types = ["session.started", "turn.appended", "turn.edited", "session.updated", "turn.sung"]
    for seq, type_ in enumerate(types, 1):
        event = read(session_stub(stored(type_, {}, seq=seq), 9), seq=seq)
        assert needs(event) == ()
        given.fold(event)
    assert given.now["ignored"] == 5
    assert not given.rows.turns
    given.when("session.erased")
    assert given.now["erased"]


def test_an_edit_that_was_erased_leaves_no_content() -> None:
    given = Given().user("t1", "Hi")
    edit = stored("turn.edited", {"turn_id": "t1", "content": SECRET}, seq=2)
    event = read(turn_stub(edit, {"t1": 3}), seq=2)
    changes = fold(given.now, given.rows, event)
    assert changes.turns[0]["content"] is None
