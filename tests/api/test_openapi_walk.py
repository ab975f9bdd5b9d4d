"""The API keeps what its OpenAPI document says: schemathesis asks every operation for what the
document allows and for what it forbids, and looks at every answer."""

from collections import Counter, defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import httpx
import pytest
import schemathesis
from isolation_routes import EXAMPLES, HELLO, PATH, For, documented
from live_api import listening, projecting
from schemathesis.engine import events, from_schema
from schemathesis.generation.case import Case
from schemathesis.hooks import HookContext, unregister  # pyright: ignore[reportUnknownVariableType]
from served import Users
from servers import wait_until

from turnlog_projector import rebuild_duty
from turnlog_projector.init import initialise

pytestmark = pytest.mark.integration

NEVER_SERVED = {"HEAD", "OPTIONS", "PUT", "QUERY", "TRACE"}
UNDER = "/v1/sessions/{session_id}"


class Walk:
    """What came of one walk through the document: statuses by operation, and what was wrong."""

    def __init__(self) -> None:
        self.statuses: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.faults: list[str] = []

    def succeeded(self) -> set[str]:
        return {
            label
            for label, statuses in self.statuses.items()
            if any(200 <= status < 300 for status in statuses)
        }

    def take(self, event: events.EngineEvent) -> None:
        """Note what an event of the engine tells."""
        if isinstance(event, events.NonFatalError | events.FatalError):
            self.faults.append(repr(event))
        if not isinstance(event, events.ScenarioFinished):
            return
        found = event.recorder
        for case_id, interaction in found.interactions.items():
            case = cast("Case[Any]", found.cases[case_id].value)
            answer = interaction.response
            if answer is None:
                self.faults.append(f"no answer: {case.as_curl_command()}")
                continue
            if case.method not in NEVER_SERVED:
                self.statuses[case.operation.label][answer.status_code] += 1
            for check in found.checks.get(case_id, []):
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    said = f"{check.name}: {failure.title}: {failure.message}"
                    self.faults.append(
                        f"{said}\n{case.as_curl_command()}\n{answer.status_code} {answer.text}"
                    )


def walk(url: str, headers: dict[str, str], ids: dict[str, str], **phases: bool) -> Walk:
    """Every operation, always with the same requests; `ids` are of what there is."""
    settings: dict[str, Any] = {
        "headers": headers,
        "workers": 1,
        "warnings": False,
        "continue-on-failure": True,
        "generation": {"deterministic": True, "max-examples": 10, "database": "none"},
        "phases": {name: {"enabled": on} for name, on in phases.items()},
        # Rules between fields (a reaction's value is a text) stand in no schema.
        "checks": {"positive_data_acceptance": {"enabled": False}},
    }
    config = schemathesis.Config.from_dict({**settings, "base-url": url})
    done = Walk()
    with httpx.Client(base_url=url, headers=headers) as api, on_something(api, ids):
        document = api.get("/openapi.json").raise_for_status().json()
        if headers:
            leave_out(document, "Turnlog-Tenant")  # a token names it: the header is not looked at
        schema = schemathesis.openapi.from_dict(document, config=config)
        for event in from_schema(schema).execute():
            done.take(event)
    return done


def leave_out(document: dict[str, Any], parameter: str) -> None:
    """Ask without a parameter."""
    for methods in document["paths"].values():
        for operation in methods.values():
            asked = operation.get("parameters", [])
            asked[:] = [each for each in asked if each["name"] != parameter]


@contextmanager
def on_something(api: httpx.Client, ids: dict[str, str]) -> Generator[None]:
    """Requests that a schema allows go to what exists: reads to one session or job, each write to a
    new one, so that no write stands in the way of another."""
    begun = 0

    def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
        nonlocal begun
        if case.meta is None or not case.meta.generation.mode.is_positive:
            return
        case.query.pop("cursor", None)
        for name in ("If-Match", "Turnlog-User", "Turnlog-Tenant"):
            case.headers.pop(name, None)
        if case.path_parameters and case.method not in NEVER_SERVED:
            case.path_parameters.update((name, ids[name]) for name in case.path_parameters)
            if "export_id" in case.path_parameters and case.method == "DELETE":
                case.path_parameters["export_id"] = ids["another_export_id"]
            if case.path.startswith(UNDER) and case.method != "GET":
                begun += 1
                case.path_parameters["session_id"] = f"new-{begun}"
                begin(api, f"new-{begun}")

    schemathesis.hook(before_call)
    try:
        yield
    finally:
        unregister(before_call)


def begin(api: httpx.Client, session_id: str) -> None:
    """A session with the turn `t`."""
    turn = {**HELLO, "turn_id": PATH["turn_id"]}
    api.post(f"/v1/sessions/{session_id}/turns", json=turn).raise_for_status()


def furnish(url: str, headers: dict[str, str]) -> dict[str, str]:
    """What reads ask for: the session with all that a session can have, and a job of each kind. The
    values of path parameters."""
    session, turn = (f"/v1/sessions/{PATH['session_id']}", f"/turns/{PATH['turn_id']}")
    with httpx.Client(base_url=url, headers=headers) as api:
        begin(api, PATH["session_id"])
        answer = {"role": "assistant", "content": "Hi", "model": "m", "usage": {"input_tokens": 1}}
        more: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", f"{session}/turns", answer),
            ("POST", f"{session}/turns", {**answer, "parent_turn_id": PATH["turn_id"]}),
            ("PATCH", session, {"title": "Greetings", "project": "p", "metadata": {"a": 1}}),
            ("PATCH", session + turn, {"content": "Hello there"}),
            ("POST", f"{session}{turn}/annotations", {"kind": "rating", "value": 1}),
            ("POST", f"{session}{turn}/annotations", {"kind": "comment", "value": "good"}),
        ]
        for method, path, body in more:
            api.request(method, path, json=body).raise_for_status()
        ids = dict(PATH)
        for name in ("export_id", "another_export_id"):
            job = api.post("/v1/exports", json={"format": "csv"}).raise_for_status().json()
            ids[name] = job["export_id"]
        rebuild = api.post("/v1/rebuilds", json={})
        if rebuild.is_success:  # for operators; cancelled, so that the walk may ask for one
            ids["rebuild_id"] = str(rebuild.json()["rebuild_id"])
            api.delete(f"/v1/rebuilds/{ids['rebuild_id']}").raise_for_status()
        wait_until(lambda: api.get(session).is_success, "the session is projected")
        file = f"/v1/exports/{ids['export_id']}/file"
        wait_until(lambda: api.get(file).is_success, "the file is made")
    return ids


@pytest.fixture(autouse=True)
def _no_replays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebuilds are asked for, but not done: each takes processes and seconds."""
    monkeypatch.setattr(rebuild_duty, "_LOOK_SECONDS", 3600.0)


@pytest.fixture
def servers(redis_url: str, postgres_url: str) -> tuple[str, str]:
    """An empty log and its database."""
    initialise(redis_url, postgres_url, partitions=4)
    return redis_url, postgres_url


def labels(*but: For) -> set[str]:
    """All operations, but those for some."""
    return {f"{m} {path}" for m, path in documented() if EXAMPLES[m, path].serves not in but}


def test_without_auth(servers: tuple[str, str]) -> None:
    with projecting(*servers), listening(*servers) as url:
        ids = furnish(url, {})
        done = walk(url, {}, ids, examples=True, coverage=True, fuzzing=True, stateful=False)
    assert not done.faults, "\n\n".join(done.faults[:5])
    assert done.succeeded() == labels()


def test_as_a_user(servers: tuple[str, str], users: Users) -> None:
    me = users.headers("me", exp=2**33)
    with (
        projecting(*servers),
        listening(*servers, auth="jwt", jwt_secret=users.secret) as url,
    ):
        ids = furnish(url, me)
        done = walk(url, me, ids, examples=True, coverage=True, fuzzing=False, stateful=False)
    assert not done.faults, "\n\n".join(done.faults[:5])
    assert done.succeeded() == labels(For.OPERATORS)
