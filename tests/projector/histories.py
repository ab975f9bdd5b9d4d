"""Random histories: what any producers might append to a few sessions, sense or nonsense."""

from typing import Any

from appending import NewEvent, event, foreign, poison
from hypothesis import strategies as st

SESSIONS = [f"s{number}" for number in range(4)]
_TURNS = st.sampled_from([f"t{number}" for number in range(6)])
_TEXTS = st.sampled_from(
    ["Hi", "", "two  words", "nul \0 inside", "😀 עברית", "x " * 60, "\u2028\t\n\\N", "\x85\x1f"]
)


def _part(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _below(parent: str) -> dict[str, Any]:
    return {"parent_turn_id": parent}


def _both(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {**first, **second}


_CONTENTS = _TEXTS | st.none() | st.builds(_part, _TEXTS)
_ROLES = st.sampled_from(["user", "assistant", "tool", "system", "agent"])
_TIMES = st.sampled_from(
    ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.5+02:00", "2999-01-01T00:00:00Z"]
)
_ACTORS = (
    st.none() | st.just({"kind": "user", "id": "u1"}) | st.just({"kind": "agent", "name": "A"})
)
_NONE: dict[str, Any] = {}
_PARENTS = st.one_of(
    st.just(_NONE), st.just(_NONE), st.just({"parent_turn_id": None}), st.builds(_below, _TURNS)
)
_FURTHER = st.sampled_from([0, 7, 2**53, 2.5, True, "much", {"cached": 1}, None])
_USAGE = st.none() | st.fixed_dictionaries(
    {"input_tokens": st.integers(0, 9)},
    optional={
        "output_tokens": st.integers(0, 9),
        "total_tokens": st.integers(0, 9),
        "cached.tokens": _FURTHER,
        "a, b": st.just(1),
        **{f"c{number}": st.just(number) for number in range(3)},
    },
)
_MODELS = st.sampled_from([None, None, "m", "", "a\tb\\N\n", "\\u0000", "é" * 200])
_RESPONSE_TIMES = st.sampled_from([None, None, 0, 2.5, 0.0005, 1e-7, 1234.5678, 2.0**53])
_METADATA = st.none() | st.dictionaries(
    st.sampled_from(["a", "b"]), st.none() | st.integers(0, 3) | _TEXTS, max_size=2
)


def _finished(extra: dict[str, Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    fields: dict[str, Any] = {
        "turn_id": _TURNS,
        "role": _ROLES,
        "content": _CONTENTS,
        "usage": _USAGE,
        "model": _MODELS,
        "response_time_ms": _RESPONSE_TIMES,
        "metadata": _METADATA,
        **(extra or {}),
    }
    return st.builds(_both, st.fixed_dictionaries(fields), _PARENTS)


_UPDATED = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["Title", "an\0other"]),
        "title_source": st.sampled_from(["user", "model"]),
        "project": st.just("p1"),
        "visibility": st.sampled_from(["private", "tenant"]),
        "metadata": _METADATA.filter(lambda value: value is not None),
        "archived": st.booleans(),
        "pinned": st.booleans(),
        "branch": st.sampled_from(["main", "b2", "b3", "b5", "b8"]),
    },
)
_ANNOTATED = st.one_of(
    st.fixed_dictionaries(
        {
            "turn_id": _TURNS,
            "kind": st.just("rating"),
            "value": st.none() | st.sampled_from([-1, 0, 1, 0.5, 1e-9, True, False]),
            "by": st.sampled_from(["u1", "u2"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "turn_id": _TURNS,
            "kind": st.sampled_from(["reaction", "comment"]),
            "value": st.sampled_from(["up", "down"]),
            "by": st.sampled_from(["u1", "u2"]),
        },
        optional={"remove": st.just(True)},
    ),
)
_ONE_TURN = st.fixed_dictionaries({"turn_id": _TURNS})
_DATA: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "session.started": st.fixed_dictionaries(
        {}, optional={"user_id": st.just("u1"), "title": st.just("T"), "metadata": _METADATA}
    ),
    "session.updated": _UPDATED,
    "session.cleared": st.just({}),
    "session.deleted": st.just({}),
    "session.restored": st.just({}),
    "session.erased": st.just({}),
    "turn.appended": _finished(),
    "turn.started": st.builds(
        _both,
        st.fixed_dictionaries({"turn_id": _TURNS, "role": _ROLES, "metadata": _METADATA}),
        _PARENTS,
    ),
    "turn.completed": _finished(),
    "turn.interrupted": _finished({"reason": st.none() | st.just("stopped")}),
    "turn.edited": st.fixed_dictionaries({"turn_id": _TURNS, "content": _CONTENTS}),
    "turn.retracted": _ONE_TURN,
    "turn.erased": _ONE_TURN,
    "turn.annotated": _ANNOTATED,
}
_WEIGHTS = {"turn.appended": 6, "turn.annotated": 2, "session.updated": 2, "turn.completed": 2}
_TYPES = st.sampled_from(
    [type_ for type_ in _DATA if type_ != "session.erased" for _ in range(_WEIGHTS.get(type_, 1))]
)


def _known(type_: str, data: dict[str, Any], number: int, at: str, actor: Any) -> NewEvent:
    # Few numbers: an event id comes again, mostly with other bytes, as from a broken producer.
    return event(type_, data, event_id=f"e{number}", at=at, actor=actor)


_KNOWN = _TYPES.flatmap(
    lambda type_: st.builds(
        _known, st.just(type_), _DATA[type_], st.integers(0, 400), _TIMES, _ACTORS
    )
)
_RARE = st.sampled_from(["erased", "poison", "wrong version", "foreign", "foreign"]).map(
    lambda kind: {
        "erased": lambda: event("session.erased"),
        "poison": poison,
        "wrong version": lambda: foreign("turn.appended", {"turn_id": "t0"}, version=9),
        "foreign": lambda: foreign("turn.sung", {"turn_id": "t1", "parent_turn_id": 7}),
    }[kind]()
)
EVENTS = st.integers(0, 29).flatmap(lambda dice: _RARE if dice == 0 else _KNOWN)
APPENDS = st.tuples(st.sampled_from(SESSIONS), st.lists(EVENTS, min_size=1, max_size=6))
