"""Sessions, by both clients."""

import httpx
import pytest
from client_bench import Bench, Kind, answering, listed, settled

from turnlog_client import Conflict, InvalidRequest, NotFound, NotModified, SessionExists

pytestmark = pytest.mark.integration


async def test_a_session_begins_and_is_found(bench: Bench) -> None:
    client = bench.client
    written = await settled(
        client.create_session(
            "s",
            user_id="u",
            project="sales",
            title="Revenue",
            visibility="tenant",
            metadata={"a": 1},
        )
    )
    assert (written["session_id"], written["seq"], written["repeat"]) == ("s", 1, False)
    bench.stage.project()
    session = await settled(client.session("s"))
    assert (session["user_id"], session["project"]) == ("u", "sales")
    assert (session["title"], session["visibility"]) == ("Revenue", "tenant")
    assert session["metadata"] == {"a": 1}
    with pytest.raises(SessionExists) as raised:
        await settled(client.create_session("s"))
    assert raised.value.code == "session-exists"
    made_up = await settled(client.create_session())
    assert made_up["session_id"]


async def test_a_session_changes(bench: Bench) -> None:
    client = bench.client
    await settled(client.create_session("s", metadata={"a": 1, "b": 2}))
    await settled(client.rename_session("s", "One"))
    await settled(client.rename_session("s", "Two", source="model"))
    await settled(client.pin_session("s"))
    await settled(client.archive_session("s"))
    await settled(client.set_visibility("s", "tenant"))
    await settled(client.update_session("s", project="p", metadata={"b": None, "c": 3}))
    bench.stage.project()
    session = await settled(client.session("s"))
    assert session["title"] == "One"
    assert (session["pinned"], session["archived"]) == (True, True)
    assert (session["visibility"], session["project"]) == ("tenant", "p")
    assert session["metadata"] == {"a": 1, "c": 3}
    assert [change["title"] for change in await listed(client.titles("s"))] == ["One"]
    await settled(client.pin_session("s", False))
    await settled(client.archive_session("s", False))
    session = await settled(client.session("s", strong=True))
    assert (session["pinned"], session["archived"]) == (False, False)


async def test_a_session_is_cleared_deleted_restored_and_erased(bench: Bench) -> None:
    client = bench.client
    await bench.say("s", "one", "two")
    cleared = await settled(client.clear_session("s"))
    assert cleared["hidden"] == 2
    await settled(client.delete_session("s"))
    bench.stage.project()
    assert await listed(client.sessions()) == []
    assert (await settled(client.session("s")))["deleted"]
    await settled(client.restore_session("s"))
    bench.stage.project()
    assert [item["session_id"] for item in await listed(client.sessions())] == ["s"]
    await settled(client.erase_session("s"))
    bench.stage.project()
    with pytest.raises(NotFound):
        await settled(client.session("s"))
    with pytest.raises(NotFound):
        await settled(client.append_turn("s", "user", "three"))


async def test_a_user_is_erased(bench: Bench) -> None:
    client = bench.client
    user = "a/b ü.."
    for name in ("s", "t"):
        await settled(client.create_session(name, user_id=user))
    await settled(client.create_session("other", user_id="other"))
    bench.stage.project()
    done = await settled(client.erase_user(user))
    assert done == {"user_id": user, "erased": 2, "failed": []}
    bench.stage.project()
    assert [item["session_id"] for item in await listed(client.sessions())] == ["other"]


async def test_an_expected_seq_must_fit(bench: Bench) -> None:
    client = bench.client
    await settled(client.append_turn("s", "user", "one", expected_seq=0))
    with pytest.raises(Conflict) as raised:
        await settled(client.rename_session("s", "x", expected_seq=0))
    assert (raised.value.expected_seq, raised.value.actual_seq) == (0, 1)
    await settled(client.rename_session("s", "x", expected_seq=1))


async def test_answers_tell_how_new_they_are(bench: Bench) -> None:
    client = bench.client
    await bench.say("s", "one")
    await settled(client.append_turn("s", "user", "two"))
    answer = await settled(client.answers.session("s"))
    assert answer.value["turn_count"] == 1
    assert (answer.freshness.seq, answer.freshness.head, answer.freshness.lag) == (1, 2, 1)
    assert answer.status == 200
    assert answer.request_id
    strong = await settled(client.answers.session("s", strong=True))
    assert strong.value["turn_count"] == 2
    past = await settled(client.answers.session("s", as_of=1))
    assert (past.as_of, past.value["turn_count"]) == (1, 1)
    with pytest.raises(NotModified):
        await settled(client.session("s", etag=answer.etag))
    bench.stage.project()
    newer = await settled(client.session("s", etag=answer.etag))
    assert newer["turn_count"] == 2
    assert (await settled(client.session("s", min_seq=2)))["seq"] == 2


async def test_ids_that_are_steps_of_a_path_are_ids(bench: Bench) -> None:
    client = bench.client
    for name in (".", "..", "...", "~"):
        await settled(client.append_turn(name, "user", "Hello", turn_id=".."))
        bench.stage.project()
        assert (await settled(client.session(name)))["session_id"] == name
        await settled(client.edit_turn(name, "..", "Hi"))
        bench.stage.project()
        [turn] = await listed(client.turns(name))
        assert (turn["turn_id"], turn["content"]) == ("..", "Hi")


@pytest.mark.parametrize("odd", ["", "a/b", "a b", "ü", "x" * 129, "a?b", "%2e"])
async def test_an_id_that_is_none_is_refused_unsent(kind: Kind, odd: str) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={})

    client = answering(kind, answer)
    for wrong in (
        lambda: client.session(odd),
        lambda: client.delete_session(odd),
        lambda: client.retract_turn("s", odd),
    ):
        with pytest.raises(InvalidRequest, match="allowed are 1 to 128"):
            await settled(wrong())
    assert asked == []
    await settled(client.close())
