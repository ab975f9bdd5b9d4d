"""What attackers put into every place that takes input: SQL, Lua and Redis protocol, other header
lines, paths that climb. Over the server as it is run.

No answer is a failure of the server, none tells what stands behind it, and nothing is changed or
shown that is not the attacker's.
"""

import json
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from attacking import Attacked, Route, check, fields, parameters, under_attack
from isolation_routes import EXAMPLES, PATH, documented
from servers import SharedServers

from turnlog_api.protocol import MAX_URL_BYTES

pytestmark = pytest.mark.integration

ATTACKS = [
    "'",
    '"',
    "' OR '1'='1",
    "'; DROP SCHEMA turnlog CASCADE; --",
    "') UNION SELECT raw FROM turnlog.archive --",
    "1; SELECT pg_sleep(30)",
    "$$; SELECT 1; $$",
    "%s %(tenant)s {g} %%",
    "\\'; SELECT 1 --",
    "{tl:0}:heads\r\nFLUSHALL\r\n",
    "*1\r\n$8\r\nFLUSHALL\r\n",
    "') redis.call('FLUSHALL') --",
    "../../../etc/passwd",
    "mine/../../other",
    "\u202e\ufeff\U0001f600",
    "\uff07 OR 1=1",
    "*",
    "x" * 3000,
]
TAKES: list[tuple[Route, str, str]] = [
    (route, place, name)
    for route in documented()
    for place in ("path", "query", "header", "body")
    for name in (fields(route) if place == "body" else parameters(route, place))
]


@pytest.fixture(scope="module")
def attacked(shared_servers: SharedServers) -> Iterator[Attacked]:
    with under_attack(shared_servers, "injections") as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_of_others_changes(attacked: Attacked) -> Iterator[None]:
    yield
    assert attacked.stored() == attacked.before


@pytest.mark.parametrize(
    ("route", "place", "name"), TAKES, ids=[f"{r[0]} {r[1]} {p} {n}" for r, p, n in TAKES]
)
def test_every_place_takes_text_for_text(
    attacked: Attacked, route: Route, place: str, name: str
) -> None:
    method, path = route
    example = EXAMPLES[route]
    for attack in ATTACKS:
        ids = dict(PATH)
        query = dict(example.params or {})
        lines = attacked.token()
        body = dict(example.body) if example.body is not None else None
        match place:
            case "path":
                ids[name] = quote(attack, safe="")
            case "query":
                query[name] = attack
            case "header":
                lines.append(name.encode() + b": " + attack.encode())
            case _:
                body = {**(body or {}), name: attack}
        target = path.format_map(ids) + ("?" + urlencode(query) if query else "")
        sent = b"" if body is None else json.dumps(body).encode()
        if sent:
            lines.append(b"Content-Type: application/json")
        status, answer = attacked.raw(method, target.encode(), *lines, body=sent)
        check(status, answer, f"{method} {target} {name}={attack}")


@pytest.mark.parametrize("route", documented(), ids=" ".join)
def test_paths_that_climb_or_end_early(attacked: Attacked, route: Route) -> None:
    method, path = route
    whole = path.format_map(PATH).encode()
    targets = [
        whole.replace(b"/v1", b"/v1/../v1"),
        whole + b"/..%2f..%2f..%2fetc%2fpasswd",
        whole + b"%00",
        whole + b"%00.json",
        whole + b"/%2e%2e/%2e%2e/metrics",
        whole.replace(b"mine", b"mine%2f..%2f..%2fother"),
        whole.replace(b"mine", b"..%2fmine"),
        whole.replace(b"/t", b"%2ft"),
        whole.replace(b"mine", b"..;/mine"),
        whole + b"%c0%ae%c0%ae%2f",
        whole + b"%ff%fe",
        whole + b"%",
        whole + b"?%00=%00",
        whole + b"?x=%c0%af",
        b"/" + whole,
        whole + b"/" * 500,
        whole + b"/" + b"a" * (MAX_URL_BYTES - 200),
        b"http://evil.example" + whole,
    ]
    for target in targets:
        status, answer = attacked.raw(method, target, *attacked.token())
        check(status, answer, f"{method} {target!r}")


@pytest.mark.parametrize("route", documented(), ids=" ".join)
def test_a_header_makes_no_other_header(attacked: Attacked, route: Route) -> None:
    """Header lines that are not text are an answer, not a failure; none is repeated."""
    method, path = route
    target = path.format_map(PATH).encode()
    for name in (b"X-Request-Id", b"Turnlog-User", b"Idempotency-Key", b"If-Match", b"traceparent"):
        for value in (
            b"x%0d%0aSet-Cookie: stolen=1",
            b"x\r\n folded: 1",
            b"x\nSet-Cookie: stolen=1",
            b"\xff\xfe",
            "é\x85\xa0".encode("latin-1"),
            b"x\x00y",
            b"\x7f\x1b[31m",
        ):
            status, answer = attacked.raw(method, target, *attacked.token(), name + b": " + value)
            check(status, answer, f"{method} {path} {name!r} {value!r}")


@pytest.mark.parametrize("route", documented(), ids=" ".join)
def test_no_line_of_an_answer_is_made_by_the_request(attacked: Attacked, route: Route) -> None:
    method, path = route
    target = f"{path.format_map(PATH)}?q=x%0d%0aSet-Cookie:%20stolen=1"
    headers = {**attacked.me, "X-Request-Id": "x%0d%0aSet-Cookie", "Origin": "http://x%0d%0ay"}
    answer = attacked.api.request(method, target, headers=headers)
    assert "set-cookie" not in answer.headers
    assert all("\r" not in value and "stolen" not in value for value in answer.headers.values())
