"""What each event does: given these events, when this one arrives, then this stands."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from given import Given, at

from turnlog_schemas.codec import RecordedEvent
from turnlog_schemas.fold import fold, needs


@pytest.fixture
def given() -> Given:
    return Given()


# Sessions


def test_a_session_begins_with_any_event(given: Given) -> None:
    given.user("t1", "Hi")
    assert given.now["turn_count"] == 1
    assert given.now["created_at"] == given.now["updated_at"] == at(1)
    assert given.now["user_id"] is None
    assert given.now["visibility"] == "private"


def test_started_names_user_project_visibility_and_metadata(given: Given) -> None:
    given.when(
        "session.started",
        user_id="u-1",
        project="sales",
        visibility="tenant",
        metadata={"channel": "web", "gone": None},
    )
    assert given.now["user_id"] == "u-1"
    assert given.now["project"] == "sales"
    assert given.now["visibility"] == "tenant"
    assert given.now["metadata"] == {"channel": "web"}


def test_only_the_first_started_counts_also_after_turns(given: Given) -> None:
    given.user("t1").when("session.started", user_id="u-1")
    given.when("session.started", user_id="u-2", title="Mine")
    assert given.now["user_id"] == "u-1"
    assert given.title == ("Hi", "turn")
    assert given.now["ignored"] == 1


def test_updated_merges_metadata_and_null_removes_a_key(given: Given) -> None:
    given.when("session.started", metadata={"a": 1, "b": 2})
    given.when("session.updated", metadata={"b": None, "c": 3}, archived=True, pinned=True)
    assert given.now["metadata"] == {"a": 1, "c": 3}
    assert given.now["archived"]
    assert given.now["pinned"]


def test_an_update_of_nothing_changes_nothing_and_is_counted(given: Given) -> None:
    given.user("t1")
    before = given.now["updated_at"]
    given.when("session.updated")
    assert given.now["updated_at"] == before
    assert given.now["ignored"] == 1


# Titles


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("  How is\n\trevenue?  ", "How is revenue?"),
        (
            [{"type": "text", "text": "Look at"}, {"type": "image"}, {"text": "this"}],
            "Look at this",
        ),
        ("a" * 100, "a" * 80),
        ("word " * 30, "word " * 15 + "word"),
        (("x" * 79) + " y", "x" * 79),
        (("x" * 80) + " y", "x" * 80),
        ("\U0001f600" * 90, "\U0001f600" * 80),
        ("nul\0byte", "nul\ufffdbyte"),
    ],
)
def test_the_title_is_cut_from_the_first_user_turn(given: Given, content: Any, title: str) -> None:
    given.user("t1", content)
    assert given.title == (title, "turn")


def test_the_title_waits_for_the_first_user_turn_with_text(given: Given) -> None:
    given.assistant("t0", "How can I help?").user("t1", None).user("t2", "   ").user(
        "t3", "Revenue?"
    )
    given.user("t4", "Something else")
    assert given.title == ("Revenue?", "turn")
    assert given.rows.titles[4]["turn_id"] == "t3"


def test_the_title_stays_when_its_turn_is_edited_or_retracted(given: Given) -> None:
    given.user("t1", "Revenue?").when("turn.edited", turn_id="t1", content="Costs?")
    given.when("turn.retracted", turn_id="t1")
    assert given.title == ("Revenue?", "turn")


def test_a_title_set_by_hand_replaces_one_from_a_turn(given: Given) -> None:
    given.user("t1", "Revenue?").when("session.updated", title="Mine")
    assert given.title == ("Mine", "user")


def test_a_model_never_renames_what_a_user_named(given: Given) -> None:
    given.user("t1", "Revenue?").when("session.updated", title="By model", title_source="model")
    assert given.title == ("By model", "model")
    given.when("session.updated", title="By user", title_source="user")
    given.when("session.updated", title="Again by model", title_source="model")
    assert given.title == ("By user", "user")
    assert given.now["ignored"] == 1


def test_every_title_is_kept_with_time_and_source(given: Given) -> None:
    given.user("t1", "One").when("session.updated", title="Two", title_source="model")
    given.when("session.updated", title="Three", actor={"kind": "user", "id": "u-1"})
    kept = [(row["title"], row["source"], row["at"]) for row in given.rows.titles.values()]
    assert kept == [("One", "turn", at(1)), ("Two", "model", at(2)), ("Three", "user", at(3))]
    assert given.rows.titles[3]["actor"] == {"kind": "user", "id": "u-1"}


def test_a_title_of_started_is_the_users(given: Given) -> None:
    given.when("session.started", title="Mine").user("t1", "Revenue?")
    assert given.title == ("Mine", "user")


def test_an_edit_can_bring_the_first_text(given: Given) -> None:
    given.user("t1", None).when("turn.edited", turn_id="t1", content="Revenue?")
    assert given.title == ("Revenue?", "turn")


# Turns


def test_a_turn_holds_what_its_event_says(given: Given) -> None:
    data: dict[str, Any] = {
        "content": None,
        "name": "bot",
        "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}],
        "artifacts": [{"id": "a1"}],
        "model": "m",
        "usage": {"output_tokens": 3},
        "response_time_ms": 812,
        "metadata": {"k": None},
    }
    actor = {"kind": "assistant", "id": "b-1"}
    given.when("turn.appended", turn_id="t1", role="assistant", actor=actor, **data)
    turn = given.turn("t1")
    assert {key: turn[key] for key in data} == data
    assert turn["actor"] == actor
    assert (turn["status"], turn["branch_id"], turn["parent_turn_id"]) == ("complete", "main", None)
    assert (turn["edited"], turn["annotations"], turn["tool_call_id"]) == (False, [], None)


def test_a_known_turn_id_changes_nothing(given: Given) -> None:
    given.user("t1", "First").user("t1", "Second")
    assert given.turn("t1")["content"] == "First"
    assert given.now["turn_count"] == 1
    assert given.now["ignored"] == 1


def test_the_last_turn_is_previewed(given: Given) -> None:
    given.user("t1", "Hi").assistant("t2", "  Hello\n" + "x" * 400)
    last = given.now["last_turn"]
    assert last is not None
    assert last["role"] == "assistant"
    assert last["at"] == at(2)
    assert last["preview"].startswith("Hello xxx")
    assert len(last["preview"]) == 160


def test_a_producers_clock_that_runs_ahead_is_not_believed(given: Given) -> None:
    given.user("t1", when="2099-01-01T00:00:00Z").user("t2", when="2020-01-01T01:00:00+01:00")
    assert given.turn("t1")["at"] == at(1) == given.turn("t1")["recorded_at"]
    assert given.turn("t2")["at"] == "2020-01-01T00:00:00.000000Z"
    assert given.now["updated_at"] == at(1)


def test_usage_sums_every_counter(given: Given) -> None:
    given.assistant("t1", usage={"input_tokens": 5, "output_tokens": 2, "cached": 1})
    given.assistant("t2", usage={"input_tokens": 7, "cost": 0.5, "output_tokens": None})
    assert given.now["usage"] == {"input_tokens": 12, "output_tokens": 2, "cached": 1}


def test_usage_is_never_reduced(given: Given) -> None:
    given.assistant("t1", usage={"input_tokens": 5}).when("turn.retracted", turn_id="t1")
    given.assistant("t2", usage={"input_tokens": 1}).when("session.cleared")
    assert given.now["usage"] == {"input_tokens": 6}


# Edit, retract, erase


def test_an_edit_changes_the_content_and_keeps_the_revision(given: Given) -> None:
    given.user("t1", "Hi").when("turn.edited", turn_id="t1", content="Hello", reason="typo")
    assert given.turn("t1")["content"] == "Hello"
    assert given.turn("t1")["edited"]
    assert given.preview == "Hello"
    revision = given.rows.revisions["t1", 2]
    assert revision["before"] == {"content": "Hi", "edited": False}
    assert revision["after"] == {"content": "Hello", "edited": True}
    assert (revision["type"], revision["reason"]) == ("turn.edited", "typo")


def test_a_retracted_turn_leaves_view_and_count_as_a_stub(given: Given) -> None:
    given.user("t1", "Hi").assistant("t2", "Secret", model="m")
    given.when("turn.retracted", turn_id="t2", reason="wrong")
    assert given.shown == ["t1"]
    assert given.now["turn_count"] == 1
    assert given.preview == "Hi"
    stub = given.turn("t2")
    assert (stub["status"], stub["reason"], stub["content"]) == ("retracted", "wrong", None)
    assert stub["model"] == "m"
    assert given.rows.revisions["t2", 3]["before"]["content"] == "Secret"


@pytest.mark.parametrize("type_", ["turn.edited", "turn.retracted", "turn.annotated"])
def test_nothing_happens_to_a_retracted_turn(given: Given, type_: str) -> None:
    given.user("t1").when("turn.retracted", turn_id="t1")
    before = copy.deepcopy(given.turn("t1"))
    extra: dict[str, Any] = {
        "turn.edited": {"content": "x"},
        "turn.annotated": {"kind": "rating", "value": 1},
    }
    given.when(type_, turn_id="t1", **extra.get(type_, {}))
    assert given.turn("t1") == before
    assert given.now["turn_count"] == 0
    assert given.now["ignored"] == 1


def test_retracting_the_only_turn_leaves_no_last_turn(given: Given) -> None:
    given.user("t1").when("turn.retracted", turn_id="t1")
    assert given.now["last_turn"] is None


def test_an_erased_turn_leaves_nothing_of_its_text(given: Given) -> None:
    given.user("t1", "my password is x").when("turn.edited", turn_id="t1", content="password y")
    given.when("turn.annotated", turn_id="t1", kind="comment", value="password z", by="u-2")
    given.when("turn.erased", turn_id="t1", reason="a secret")
    assert given.turn("t1")["status"] == "retracted"
    assert given.title == (None, None)
    assert given.now["turn_count"] == 0
    left = repr([given.session, vars(given.rows)])
    assert "password" not in left


def test_erasing_a_retracted_turn_counts_it_out_only_once(given: Given) -> None:
    given.user("t1").user("t2").when("turn.retracted", turn_id="t1").when(
        "turn.erased", turn_id="t1"
    )
    assert given.now["turn_count"] == 1
    assert not given.rows.revisions


def test_after_an_erasure_the_next_user_turn_names_the_session(given: Given) -> None:
    given.user("t1", "secret").when("turn.erased", turn_id="t1").user("t2", "Revenue?")
    assert given.title == ("Revenue?", "turn")


# Clear, delete, restore, erase


def test_clear_hides_the_turns_so_far_and_touches_no_row(given: Given) -> None:
    given.user("t1", "One").assistant("t2")
    before = copy.deepcopy(given.rows.turns)
    given.when("session.cleared")
    assert given.shown == []
    assert given.now["turn_count"] == 0
    assert given.now["last_turn"] is None
    assert given.rows.turns == before
    given.user("t3", "Two")
    assert given.shown == ["t3"]
    assert given.now["turn_count"] == 1
    assert given.title == ("One", "turn")


def test_retracting_a_cleared_turn_does_not_count_it_out_again(given: Given) -> None:
    given.user("t1").when("session.cleared").user("t2").when("turn.retracted", turn_id="t1")
    assert given.now["turn_count"] == 1


def test_a_cleared_turn_does_not_come_back_as_the_last_one(given: Given) -> None:
    given.user("t1").when("session.cleared").user("t2").when("turn.retracted", turn_id="t2")
    assert given.now["last_turn"] is None


def test_what_is_appended_to_a_deleted_session_is_shown_after_restore(given: Given) -> None:
    given.user("t1").when("session.deleted").user("t2")
    assert given.now["deleted"]
    given.when("session.restored")
    assert not given.now["deleted"]
    assert given.shown == ["t1", "t2"]


@pytest.mark.parametrize("type_", ["session.deleted", "session.restored"])
def test_deleting_or_restoring_twice_changes_nothing(given: Given, type_: str) -> None:
    given.user("t1").when("session.deleted")
    if type_ == "session.restored":
        given.when("session.restored")
    given.when(type_)
    assert given.now["ignored"] == 1


def test_an_erased_session_is_a_tombstone(given: Given) -> None:
    given.when("session.started", user_id="u-1", metadata={"secret": 1}).user("t1", "secret")
    given.when("session.updated", title="secret").when("session.erased")
    assert given.now["erased"]
    assert given.now["deleted"]
    assert given.now["user_id"] is None
    assert given.now["created_at"] == at(1)
    assert "secret" not in repr([given.session, vars(given.rows)])


def test_nothing_is_folded_behind_a_tombstone(given: Given) -> None:
    given.user("t1").when("session.erased").user("t2").when("session.restored")
    assert given.rows.turns == {}
    assert given.now["deleted"]
    assert given.now["ignored"] == 2
    assert given.now["seq"] == 4


# Streamed turns


def test_a_streamed_turn_begins_without_text_and_is_completed(given: Given) -> None:
    given.user("t1").when("turn.started", turn_id="t2", role="assistant", model="m")
    assert given.turn("t2")["status"] == "streaming"
    assert given.now["turn_count"] == 2
    given.when(
        "turn.completed",
        turn_id="t2",
        role="assistant",
        content="Done",
        usage={"output_tokens": 4},
        response_time_ms=9,
    )
    turn = given.turn("t2")
    assert (turn["status"], turn["content"], turn["seq"]) == ("complete", "Done", 2)
    assert (turn["model"], turn["at"]) == ("m", at(2))
    assert given.now["turn_count"] == 2
    assert given.now["usage"] == {"output_tokens": 4}
    assert given.preview == "Done"


def test_completed_replaces_interrupted_and_usage_counts_once(given: Given) -> None:
    given.when("turn.started", turn_id="t1", role="assistant")
    given.when(
        "turn.interrupted",
        turn_id="t1",
        role="assistant",
        content="Do",
        reason="timeout",
        usage={"output_tokens": 2},
    )
    turn = given.turn("t1")
    assert (turn["status"], turn["reason"], turn["content"]) == ("interrupted", "timeout", "Do")
    given.when(
        "turn.completed", turn_id="t1", role="assistant", content="Done", usage={"output_tokens": 4}
    )
    turn = given.turn("t1")
    assert (turn["status"], turn["reason"], turn["content"]) == ("complete", None, "Done")
    assert given.now["usage"] == {"output_tokens": 4}
    assert given.rows.revisions["t1", 3]["before"]["content"] == "Do"


def test_an_interruption_never_replaces_a_complete_turn(given: Given) -> None:
    given.assistant("t1", "Done").when("turn.interrupted", turn_id="t1", role="assistant")
    assert given.turn("t1")["content"] == "Done"
    assert given.now["ignored"] == 1


@pytest.mark.parametrize("type_", ["turn.completed", "turn.interrupted"])
def test_an_end_without_a_beginning_is_a_whole_turn(given: Given, type_: str) -> None:
    given.when(type_, turn_id="t1", role="assistant", content="Text")
    assert given.turn("t1")["content"] == "Text"
    assert given.now["turn_count"] == 1


# Branches


def test_without_a_parent_a_turn_continues_the_tip(given: Given) -> None:
    given.user("t1").assistant("t2")
    assert given.turn("t2")["parent_turn_id"] == "t1"
    assert given.now["branches"] == 1
    assert given.now["tip_turn_id"] == "t2"


def test_a_parent_that_is_not_the_tip_opens_a_branch(given: Given) -> None:
    given.user("t1").assistant("t2").user("t3").assistant("t2b", parent_turn_id="t1")
    assert given.now["branch_id"] == "b4"
    assert given.shown == ["t1", "t2b"]
    branch = given.rows.branches["b4"]
    assert (branch["parent_branch_id"], branch["fork_seq"], branch["first_seq"]) == ("main", 1, 4)
    assert given.now["turn_count"] == 4


def test_the_chosen_branch_is_shown_and_goes_on_at_its_tip(given: Given) -> None:
    given.user("t1").assistant("t2").assistant("t2b", parent_turn_id="t1")
    given.when("session.updated", branch="main")
    assert given.shown == ["t1", "t2"]
    given.user("t3")
    assert given.turn("t3")["parent_turn_id"] == "t2"
    given.when("session.updated", branch="b3").user("t3b")
    assert given.shown == ["t1", "t2b", "t3b"]


def test_a_turn_at_the_tip_of_a_branch_that_is_not_shown_continues_it(given: Given) -> None:
    given.user("t1").assistant("t2").assistant("t2b", parent_turn_id="t1")
    given.user("t3", parent_turn_id="t2")
    assert given.turn("t3")["branch_id"] == "main"
    assert given.now["branch_id"] == "b3"
    assert given.shown == ["t1", "t2b"]


def test_a_branch_of_a_branch_inherits_ranges(given: Given) -> None:
    given.user("t1").assistant("t2").assistant("t2b", parent_turn_id="t1").user("t3b")
    given.user("t3c", parent_turn_id="t2b")
    assert given.shown == ["t1", "t2b", "t3c"]


def test_a_null_parent_opens_a_new_root(given: Given) -> None:
    given.user("t1").assistant("t2").user("t1b", parent_turn_id=None)
    assert given.turn("t1b")["parent_turn_id"] is None
    assert given.shown == ["t1b"]
    assert given.rows.branches["b3"]["parent_branch_id"] is None


def test_an_unknown_parent_continues_the_tip(given: Given) -> None:
    given.user("t1").assistant("t2", parent_turn_id="never-heard-of")
    assert given.shown == ["t1", "t2"]


def test_an_unknown_branch_changes_nothing(given: Given) -> None:
    given.user("t1").when("session.updated", branch="b99")
    assert given.now["branch_id"] == "main"
    assert given.now["ignored"] == 1


# Annotations


def shown(given: Given, turn_id: str = "t1") -> list[tuple[str, Any, Any]]:
    return [(a["kind"], a["value"], a["by"]) for a in given.turn(turn_id)["annotations"]]


def test_the_newest_rating_of_a_person_counts(given: Given) -> None:
    given.assistant("t1").when("turn.annotated", turn_id="t1", kind="rating", value=1, by="u-1")
    given.when("turn.annotated", turn_id="t1", kind="rating", value=5, by="u-1")
    given.when("turn.annotated", turn_id="t1", kind="rating", value=True, by="u-2")
    assert shown(given) == [("rating", 5, "u-1"), ("rating", True, "u-2")]
    assert list(given.rows.annotations) == [("t1", 3), ("t1", 4)]


def test_a_null_rating_takes_it_back(given: Given) -> None:
    given.assistant("t1").when("turn.annotated", turn_id="t1", kind="rating", value=1, by="u-1")
    given.when("turn.annotated", turn_id="t1", kind="rating", value=None, by="u-1")
    assert shown(given) == []
    assert given.rows.annotations == {}


def test_a_reaction_stands_once_a_person_and_value(given: Given) -> None:
    given.assistant("t1")
    for by, value in [("u-1", "+1"), ("u-1", "+1"), ("u-1", "tada"), ("u-2", "+1")]:
        given.when("turn.annotated", turn_id="t1", kind="reaction", value=value, by=by)
    assert shown(given) == [
        ("reaction", "+1", "u-1"),
        ("reaction", "tada", "u-1"),
        ("reaction", "+1", "u-2"),
    ]
    given.when("turn.annotated", turn_id="t1", kind="reaction", value="+1", by="u-1", remove=True)
    assert shown(given) == [("reaction", "tada", "u-1"), ("reaction", "+1", "u-2")]


def test_equal_comments_both_stand(given: Given) -> None:
    given.assistant("t1")
    for _ in range(2):
        given.when("turn.annotated", turn_id="t1", kind="comment", value="Nice", by="u-1")
    assert len(shown(given)) == 2


def test_the_actor_annotates_when_nobody_is_named(given: Given) -> None:
    actor = {"kind": "user", "id": "u-9"}
    given.assistant("t1").when("turn.annotated", turn_id="t1", kind="rating", value=1, actor=actor)
    assert shown(given) == [("rating", 1, "u-9")]


def test_taking_back_what_never_stood_changes_nothing(given: Given) -> None:
    given.assistant("t1")
    given.when("turn.annotated", turn_id="t1", kind="reaction", value="+1", remove=True)
    assert given.now["ignored"] == 1


# Total and idempotent


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("turn.edited", {"content": "x"}),
        ("turn.retracted", {}),
        ("turn.erased", {}),
        ("turn.annotated", {"kind": "rating", "value": 1}),
    ],
)
def test_an_unknown_turn_changes_nothing_and_is_counted(
    given: Given, type_: str, data: dict[str, Any]
) -> None:
    given.user("t1")
    before = copy.deepcopy(given.rows.turns)
    given.when(type_, turn_id="never", **data)
    assert given.rows.turns == before
    assert given.now["ignored"] == 1
    assert given.now["seq"] == 2


def test_an_event_of_an_unknown_type_is_counted_and_kept_out_of_the_way(given: Given) -> None:
    given.user("t1")
    strange = RecordedEvent("acme", "s-1", 2, 0, "e2", "turn.sung", 7, at(2), None, {"turn_id": 4})
    assert needs(strange) == ()
    given.fold(strange)
    assert given.now["ignored"] == 1
    assert given.now["event_id"] == "e2"
    assert given.shown == ["t1"]


def test_a_late_repeat_folds_to_nothing(given: Given) -> None:
    given.user("t1", event_id="e1").when("session.cleared")
    given.when("turn.appended", turn_id="t1", role="user", content="Hi", event_id="e1", repeat_of=1)
    assert given.now["turn_count"] == 0
    assert given.now["ignored"] == 1


def test_the_fold_changes_none_of_its_arguments(given: Given) -> None:
    given.user("t1").when("turn.annotated", turn_id="t1", kind="rating", value=1, by="u-1")
    session, rows = copy.deepcopy(given.now), copy.deepcopy(vars(given.rows))
    edited = Given().when("turn.edited", turn_id="t1", content="x").events[0]
    fold(given.session, given.rows, edited)
    assert given.session == session
    assert vars(given.rows) == rows


def test_needs_names_the_turn_and_its_parent(given: Given) -> None:
    given.when("session.cleared").user("t1", parent_turn_id="t0").user("t2", parent_turn_id=None)
    assert [needs(event) for event in given.events] == [(), ("t1", "t0"), ("t2",)]


def test_needs_names_nothing_that_was_not_checked(given: Given) -> None:
    given.user("t1").when("turn.edited", turn_id="t1", content="x", parent_turn_id="a\0b")
    unknown = replace(given.events[0], type="turn.moved", data={"turn_id": "a\0b"})
    assert [needs(event) for event in (given.events[1], unknown)] == [("t1",), ()]


def test_a_beginning_holds_nothing_that_only_a_whole_turn_holds(given: Given) -> None:
    given.when("turn.started", turn_id="t1", role="user", content=["x"], usage="much", model="m")
    turn = given.rows.turns["t1"]
    assert (turn["content"], turn["usage"], turn["model"]) == (None, None, "m")


def test_a_counter_beyond_reason_is_kept_and_not_summed(given: Given) -> None:
    huge = {"x": 10**4000, "y": 2**53}
    given.found("turn.appended", turn_id="t1", role="user", usage=huge)
    given.user("t2", usage={"x": 1, "y": 1})
    assert given.session is not None
    assert given.session["usage"] == {"x": 1, "y": 2**53 + 1}
    assert given.rows.turns["t1"]["usage"] == {"x": 10**4000, "y": 2**53}


def test_what_is_in_the_log_folds_however_large(given: Given) -> None:
    metadata = {f"k{n}": "x" * 1000 for n in range(900)}
    usage = {f"counter {n}": 1 for n in range(100)}
    given.found("session.started", user_id="u", metadata=metadata)
    given.found("turn.appended", turn_id="t1", role="user", usage=usage)
    given.found("turn.annotated", turn_id="t1", kind="comment", value="x" * 100_000)
    given.found("turn.annotated", turn_id="t1", kind="rating", value=10**30)
    assert given.now["metadata"] == metadata
    assert given.now["usage"] == usage
    values = [each["value"] for each in given.turn("t1")["annotations"]]
    assert values == ["x" * 100_000, 10**30]


def test_metadata_does_not_grow_without_end(given: Given) -> None:
    for n in range(5):
        given.when("session.updated", metadata={f"k{n}": "x" * 250_000})
    assert list(given.now["metadata"]) == ["k0", "k1", "k2", "k3"]
    assert given.now["ignored"] == 1
    given.when("session.updated", title="T", metadata={"k4": "x" * 250_000})
    assert given.title == ("T", "user")
    given.when("session.updated", metadata={"k0": None, "k4": "x" * 250_000})
    assert list(given.now["metadata"]) == ["k1", "k2", "k3", "k4"]


def test_a_session_sums_no_endless_number_of_counters(given: Given) -> None:
    for n in range(6):
        given.user(f"t{n}", usage={f"c{n}-{m}": 1 for m in range(50)} | {"input_tokens": 2})
    assert len(given.now["usage"]) == 256
    assert given.now["usage"]["input_tokens"] == 12
    assert len(given.turn("t5")["usage"] or {}) == 51
