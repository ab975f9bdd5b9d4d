"""Walks from page to page while writers write: what did not change comes once, nothing comes twice.

Between any two pages a random few writes are made and projected, so that every page is of another
state. The seeds are fixed; each is another history.
"""

import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from appending import event, turn
from searched import index_all
from served import Stage

pytestmark = pytest.mark.integration

SEEDS = range(6)
WORDS = ("region", "forecast", "revenue")


async def walk(
    api: httpx.AsyncClient,
    path: str,
    params: dict[str, Any],
    chooser: random.Random,
    meanwhile: Callable[[], None],
) -> list[dict[str, Any]]:
    """All items of a list, in pages of any size, with writes before each further page. Filters are
    sent again or left to the cursor."""
    items: list[dict[str, Any]] = []
    query = dict(params)
    for _ in range(500):
        query["limit"] = chooser.randint(1, 9)
        page = (await api.get(path, params=query)).raise_for_status().json()
        assert len(page["items"]) <= query["limit"]
        items += page["items"]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            return items
        meanwhile()
        query = {**(params if chooser.random() < 0.5 else {}), "cursor": page["next_cursor"]}
    raise AssertionError("500 pages came to no end")


class Sessions:
    """Sessions of two users in two projects, half of which change all the time."""

    def __init__(self, stage: Stage, chooser: random.Random) -> None:
        self.stage = stage
        self.chooser = chooser
        self.writer = stage.writer()
        self.begun = 0
        self.quiet: dict[str, dict[str, str]] = {}
        self.busy: list[str] = []
        for number in range(50):
            session_id, data = self.begin()
            if number % 2:
                self.quiet[session_id] = data
            else:
                self.busy.append(session_id)
        stage.project()

    def begin(self) -> tuple[str, dict[str, str]]:
        self.begun += 1
        session_id = f"s{self.begun}"
        data = {"user_id": self.chooser.choice("ab"), "project": self.chooser.choice("pq")}
        words = turn("t1", f"the {self.chooser.choice(WORDS)} of {session_id}")
        self.writer.append(session_id, event("session.started", data), words, owner=data["user_id"])
        return session_id, data

    def write(self) -> None:
        """A few changes, none of them to a quiet session."""
        for _ in range(self.chooser.randint(0, 4)):
            session_id = self.chooser.choice(self.busy)
            match self.chooser.randrange(6):
                case 0:
                    self.busy.append(self.begin()[0])
                case 1:
                    self.writer.append(session_id, event("session.deleted"))
                case 2:
                    self.writer.append(session_id, event("session.restored"))
                case 3:
                    archived = {"archived": self.chooser.random() < 0.5}
                    self.writer.append(session_id, event("session.updated", archived))
                case _:
                    said = f"more {self.chooser.choice(WORDS)}"
                    self.writer.append(session_id, turn(f"n{self.chooser.random()}", said))
        self.stage.project()


def check_once(found: list[Any], unchanged: set[Any]) -> None:
    """Nothing came twice, and all that did not change came."""
    assert len(found) == len(set(found)), "something came twice"
    assert unchanged <= set(found), "something that did not change is missing"


@pytest.mark.parametrize("seed", SEEDS)
async def test_sessions(api: httpx.AsyncClient, stage: Stage, seed: int) -> None:
    chooser = random.Random(seed)
    sessions = Sessions(stage, chooser)
    for filters in ({}, {"user_id": "a"}, {"project": "p"}, {"user_id": "b", "project": "q"}):
        items = await walk(api, "/v1/sessions", filters, chooser, sessions.write)
        expected = {
            session_id
            for session_id, data in sessions.quiet.items()
            if all(data[name] == value for name, value in filters.items())
        }
        check_once([item["session_id"] for item in items], expected)
        for item in items:
            assert all(item[name] == value for name, value in filters.items())
        keys = [(item["updated_at"], item["session_id"]) for item in items]
        assert keys == sorted(keys, reverse=True)


@pytest.mark.parametrize("seed", SEEDS[:3])
async def test_projects(api: httpx.AsyncClient, stage: Stage, seed: int) -> None:
    chooser = random.Random(seed)
    sessions = Sessions(stage, chooser)
    items = await walk(api, "/v1/projects", {}, chooser, sessions.write)
    assert [item["project"] for item in items] == ["p", "q"]


@pytest.mark.parametrize("sort", ["newest", "rank"])
@pytest.mark.parametrize("seed", SEEDS[:3])
async def test_hits(api: httpx.AsyncClient, stage: Stage, seed: int, sort: str) -> None:
    chooser = random.Random(seed)
    sessions = Sessions(stage, chooser)
    index_all(stage.connection)

    def write_and_index() -> None:
        sessions.write()
        index_all(stage.connection)

    params = {"q": "region or revenue or forecast", "sort": sort}
    items = await walk(api, "/v1/search", params, chooser, write_and_index)
    expected = {(session_id, "t1") for session_id in sessions.quiet}
    check_once([(item["session_id"], item["turn_id"]) for item in items], expected)


class OneSession:
    """A session with a history of 40 turns, of which the first 20 stay as they are."""

    def __init__(self, stage: Stage, chooser: random.Random) -> None:
        self.stage = stage
        self.chooser = chooser
        self.writer = stage.writer()
        first = [turn(f"t{number}", f"turn {number}") for number in range(40)]
        self.writer.append("s", event("session.started", {"user_id": "u"}), *first, owner="u")
        self.stage.project()
        self.written = 40

    def write(self) -> None:
        for _ in range(self.chooser.randint(0, 4)):
            target = f"t{self.chooser.randint(20, 39)}"
            match self.chooser.randrange(5):
                case 0:
                    new = event("turn.edited", {"turn_id": target, "content": "edited"})
                case 1:
                    new = event("turn.retracted", {"turn_id": target})
                case 2:
                    rating = {"turn_id": target, "kind": "rating", "value": 1, "by": "u"}
                    new = event("turn.annotated", rating)
                case _:
                    new = turn(f"t{self.written}", "late")
                    self.written += 1
            self.writer.append("s", new)
        self.stage.project()


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("seed", SEEDS)
async def test_turns(api: httpx.AsyncClient, stage: Stage, seed: int, order: str) -> None:
    chooser = random.Random(seed)
    session = OneSession(stage, chooser)
    several: list[dict[str, Any]] = [{}, {"include": "retracted"}, {"after": 7, "before": 30}]
    for filters in several:
        params = {"order": order, **filters}
        items = await walk(api, "/v1/sessions/s/turns", params, chooser, session.write)
        seqs = [item["seq"] for item in items]
        low, high = filters.get("after", 0), filters.get("before", 2**53)
        quiet = {number + 2 for number in range(20) if low < number + 2 < high}
        everything = quiet if "include" not in filters else set(range(2, 42))
        check_once(seqs, everything)
        assert seqs == sorted(seqs, reverse=order == "desc")
        assert all(low < seq < high for seq in seqs)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("seed", SEEDS[:3])
async def test_turns_of_a_branch_while_others_are_opened(
    api: httpx.AsyncClient, stage: Stage, seed: int, order: str
) -> None:
    chooser = random.Random(seed)
    session = OneSession(stage, chooser)
    opened = 0

    def open_branches() -> None:
        nonlocal opened
        for _ in range(chooser.randint(0, 2)):
            opened += 1
            parent = f"t{chooser.randint(0, 39)}"
            session.writer.append("s", turn(f"x{opened}", parent_turn_id=parent))
        stage.project()

    params = {"order": order, "branch": "main"}
    items = await walk(api, "/v1/sessions/s/turns", params, chooser, open_branches)
    expected = [f"t{number}" for number in range(40)]
    own = [item["turn_id"] for item in items if not item["turn_id"].startswith("x")]
    assert own == (expected if order == "asc" else expected[::-1])


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("seed", SEEDS[:3])
async def test_events(api: httpx.AsyncClient, stage: Stage, seed: int, order: str) -> None:
    """The log has no gap, however far it is projected."""
    chooser = random.Random(seed)
    session = OneSession(stage, chooser)
    path = "/v1/sessions/s/events"
    items = await walk(api, path, {"order": order}, chooser, session.write)
    seqs = [item["seq"] for item in items]
    last = max(seqs)
    assert last >= 41
    assert seqs == (list(range(1, last + 1)) if order == "asc" else list(range(last, 0, -1)))
    turns = await walk(api, path, {"order": order, "type": "turn.appended"}, chooser, session.write)
    found = [item["data"]["turn_id"] for item in turns]
    expected = [f"t{number}" for number in range(len(found))]
    assert found == (expected if order == "asc" else expected[::-1])


@pytest.mark.parametrize("seed", SEEDS[:3])
async def test_titles_and_revisions(api: httpx.AsyncClient, stage: Stage, seed: int) -> None:
    chooser = random.Random(seed)
    session = OneSession(stage, chooser)
    given = 0

    def write() -> None:
        nonlocal given
        for _ in range(chooser.randint(0, 3)):
            given += 1
            renamed = event("session.updated", {"title": f"title {given}"})
            edited = event("turn.edited", {"turn_id": "t1", "content": f"edit {given}"})
            session.writer.append("s", renamed, edited)
        stage.project()

    while given < 20:
        write()
    titles = await walk(api, "/v1/sessions/s/titles", {}, chooser, write)
    names = [f"title {number}" for number in range(1, len(titles))]
    assert [item["title"] for item in titles] == ["turn 0", *names]
    edits = await walk(api, "/v1/sessions/s/turns/t1/revisions", {}, chooser, write)
    after = [item["after"]["content"] for item in edits]
    assert after == [f"edit {number}" for number in range(1, len(edits) + 1)]
    assert len(edits) >= 20
