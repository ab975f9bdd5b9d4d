"""docs/wire-format.md is enough to write a producer: what one made from it writes folds right."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from mini_producer import MiniProducer, RedisRefused, event

from turnlog_producers import TurnLog
from turnlog_producers.head import Head
from turnlog_producers.keys import Keys
from turnlog_schemas.codec import decode
from turnlog_schemas.fold import fold
from turnlog_schemas.rows import MemoryRows, Session, history


@pytest.fixture
def mini(redis_url: str) -> Iterator[MiniProducer]:
    producer = MiniProducer(redis_url)
    yield producer
    producer.redis.close()


def folded(mini: MiniProducer, session_id: str) -> tuple[Session, MemoryRows]:
    """The session as our own reader sees it."""
    session: Session | None = None
    rows = MemoryRows()
    stream = Keys("default", session_id, mini.partitions).stream
    for id_, fields in mini.redis("XRANGE", stream, "-", "+"):
        assert fields[::2] == [b"e", b"i", b"t"]
        recorded = decode(
            fields[1],
            tenant="default",
            session_id=session_id,
            seq=int(id_.removesuffix(b"-0")),
            recorded_at=int(fields[5]),
        )
        assert recorded.event_id == fields[3].decode()
        changes = fold(session, rows, recorded)
        rows.apply(changes)
        session = changes.session
    assert session is not None
    return session, rows


def test_what_it_writes_folds(mini: MiniProducer) -> None:
    place = mini.session("s-42")
    assert place.partition == 17
    started = event("session.started", user_id="u-1", project="sales")
    asked = event("turn.appended", turn_id="t-1", role="user", content="How is it? \U0001f600")
    answered = event("turn.appended", turn_id="t-2", role="assistant", content="Fine.")
    _, last, seqs, repeats = mini.append(place, started, asked, owner="u-1")
    assert (last, seqs, repeats) == (2, [1, 2], [0, 0])
    assert mini.append(place, answered, expected_seq="2")[1:] == [3, [3], [0]]

    session, rows = folded(mini, "s-42")
    assert (session["user_id"], session["project"], session["turn_count"]) == ("u-1", "sales", 2)
    assert session["title"] == "How is it? \U0001f600"
    assert [turn["content"] for turn in history(rows, session)] == [
        "How is it? \U0001f600",
        "Fine.",
    ]


def test_a_resent_call_is_answered_as_a_repeat(mini: MiniProducer) -> None:
    place = mini.session("s-1")
    asked = event("turn.appended", turn_id="t-1", role="user", content="Hi")
    first = mini.append(place, asked, expected_seq="0")
    assert mini.append(place, asked, expected_seq="0") == [first[0], 1, [1], [1]]


def test_refusals_are_as_described(mini: MiniProducer) -> None:
    place = mini.session("s-1")
    mini.append(place, event("session.started", user_id="u-1"), owner="u-1")
    with pytest.raises(RedisRefused, match=r"^CONFLICT 7 1$"):
        mini.append(place, event("session.cleared"), expected_seq="7")
    mini.append(place, event("session.erased"))
    with pytest.raises(RedisRefused, match=r"^ERASED default:s-1 "):
        mini.append(place, event("session.restored"))


def test_head_and_index_are_as_described(mini: MiniProducer) -> None:
    place = mini.session("s-1")
    first, second = event("session.started", user_id="u 1"), event("session.cleared")
    mini.append(place, first, owner="u 1")
    recorded_at, *_ = mini.append(place, second)
    heads, index, _, ids = place.keys()
    head: bytes = mini.redis("HGET", heads, "default:s-1")
    assert head.decode().split(" ", 5) == [
        "2",
        "0",
        recorded_at.decode(),
        second["event_id"],
        "s",
        "u 1",
    ]
    assert Head.parse(head).owner == "u 1"
    _, (id_, fields) = mini.redis("XRANGE", index, "-", "+")
    entry = dict(zip(fields[::2], fields[1::2], strict=True))
    assert id_ == b"2-0"
    assert entry == {
        b"session": b"default:s-1",
        b"from": b"2",
        b"count": b"1",
        b"prev": first["event_id"].encode(),
        b"last": second["event_id"].encode(),
        b"size": str(len(json.dumps(second))).encode(),
    }
    assert mini.redis("HGET", ids, second["event_id"]) == b"2"


def test_it_and_our_producer_write_to_the_same_log(mini: MiniProducer, redis_url: str) -> None:
    with TurnLog.connect(redis_url) as log:
        ours: Any = log.session("s-1", user_id="u-1").append_turn("user", "Hi")
    _, last, _, _ = mini.append(
        mini.session("s-1"), event("turn.appended", turn_id="t-2", role="assistant", content="Yes")
    )
    assert last == ours.seq + 1
    session, _ = folded(mini, "s-1")
    assert (session["user_id"], session["turn_count"]) == ("u-1", 2)
