"""Cursors that attackers change or take from elsewhere: they open nothing and break nothing."""

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from attacking import SECRET, Attacked, Route, check, parameters, under_attack
from isolation_routes import EXAMPLES, PATH, For, documented
from servers import SharedServers, wait_until

pytestmark = pytest.mark.integration

SQL = "' OR '1'='1"
LISTS = [
    route
    for route in documented()
    if route[0] == "GET"
    and "cursor" in parameters(route, "query")
    and EXAMPLES[route].serves is not For.OPERATORS
]


@pytest.fixture(scope="module")
def attacked(shared_servers: SharedServers) -> Iterator[Attacked]:
    with under_attack(shared_servers, "cursors") as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_of_others_changes(attacked: Attacked) -> Iterator[None]:
    yield
    assert attacked.stored() == attacked.before


def cursors(attacked: Attacked, route: Route, headers: dict[str, str]) -> str | None:
    """A cursor that the list hands out."""
    query = {**(EXAMPLES[route].params or {}), "limit": "1"}
    answer = attacked.api.get(route[1].format_map(PATH), params=query, headers=headers)
    return answer.raise_for_status().json()["next_cursor"]


@pytest.fixture(scope="module")
def long_lists(attacked: Attacked) -> Attacked:
    """Every list has more than one item, for both."""
    api = attacked.api
    for headers, text in ((attacked.me, "hello"), (attacked.victim, f"hello {SECRET}")):
        for number in range(3):
            body = {"role": "user", "content": text}
            url = f"/v1/sessions/s{number}"
            api.post(f"{url}/turns", json=body, headers=headers).raise_for_status()
            project = {"project": f"p{number}"}
            api.patch(url, json=project, headers=headers).raise_for_status()
            edit = {"content": f"{text} {number}"}
            api.patch("/v1/sessions/mine/turns/t", json=edit, headers=headers).raise_for_status()
            for change in ({"title": f"{text} {number}"}, {"archived": False}):
                api.patch("/v1/sessions/mine", json=change, headers=headers).raise_for_status()
            regenerated = {"role": "user", "content": "again", "parent_turn_id": None}
            turns = "/v1/sessions/mine/turns"
            for turn in (regenerated, body):
                api.post(turns, json=turn, headers=headers).raise_for_status()
            for method, path in documented():
                if method == "POST" and "{" not in path:  # a job, where the caller may ask for one
                    api.post(path, json=EXAMPLES[method, path].body, headers=headers)

    def ready() -> bool:
        return all(
            cursors(attacked, route, headers) is not None
            for route in LISTS
            for headers in (attacked.me, attacked.victim)
        )

    wait_until(ready, "every list has a second page")
    attacked.before = attacked.stored()
    return attacked


def given_cursor(long_lists: Attacked, route: Route, headers: dict[str, str]) -> str:
    cursor = cursors(long_lists, route, headers)
    assert cursor is not None
    return cursor


@pytest.mark.parametrize("route", LISTS, ids=" ".join)
def test_a_changed_cursor_opens_nothing(long_lists: Attacked, route: Route) -> None:
    path = route[1].format_map(PATH)
    mine = given_cursor(long_lists, route, long_lists.me)
    theirs = given_cursor(long_lists, route, long_lists.victim)
    changed = [theirs, *(given_cursor(long_lists, other, long_lists.me) for other in LISTS)]
    chooser = random.Random(7)
    raw = base64.urlsafe_b64decode(mine + "==")
    for _ in range(150):
        bits = bytearray(raw)
        bits[chooser.randrange(len(bits))] ^= 1 << chooser.randrange(8)
        changed.append(base64.urlsafe_b64encode(bits).decode())
    fields: dict[str, Any] = json.loads(raw)
    for name in fields:
        values: list[Any] = ["other", SECRET, SQL, -1, 2**70, None, [], {}, 1e308, True]
        for value in values:
            forged = json.dumps({**fields, name: value}).encode()
            changed.append(base64.urlsafe_b64encode(forged).decode())
    for name in ("tenant", "user_id", "limit", "scope"):
        forged = json.dumps({**fields, name: "other"}).encode()
        changed.append(base64.urlsafe_b64encode(forged).decode())
    deep = b'{"session_id":' + b"[" * 2000 + b"]" * 2000 + b"}"
    changed += [base64.urlsafe_b64encode(deep).decode(), mine[:-3], mine + mine, mine * 200]
    for cursor in changed:
        answer = long_lists.api.get(path, params={"cursor": cursor}, headers=long_lists.me)
        assert answer.status_code in (200, 400, 404, 414), (cursor, answer.text)
        check(answer.status_code, answer.content, f"{path} {cursor}")


@pytest.mark.parametrize("route", LISTS, ids=" ".join)
def test_a_cursor_of_another_list_is_refused(long_lists: Attacked, route: Route) -> None:
    path = route[1].format_map(PATH)
    for other in LISTS:
        cursor = given_cursor(long_lists, other, long_lists.me)
        answer = long_lists.api.get(path, params={"cursor": cursor}, headers=long_lists.me)
        alike = {route[1], other[1]} == {
            "/v1/sessions/{session_id}/turns",
            "/v1/sessions/{session_id}/events",
        }  # the two hold the same: a session and a seq
        assert (answer.status_code == 200) == (other == route or alike), (other, answer.text)
