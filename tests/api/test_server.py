"""The API as a process of its own, and its documentation."""

import json
import re
import signal
import socket
import subprocess
import sys
from typing import Any

import httpx
import jsonschema
import pytest
from served import Stage
from servers import wait_until

from turnlog_api import models
from turnlog_api.main import create_app
from turnlog_api.settings import ApiSettings
from turnlog_cli.ports import free_port

_SERVE = (
    "import sys, logging\n"
    "from turnlog_api.main import serve\n"
    "from turnlog_api.settings import ApiSettings\n"
    "logging.basicConfig(level=logging.INFO)\n"
    "sys.exit(serve(ApiSettings()))"
)


def start(stage: Stage, port: int, **settings: str) -> subprocess.Popen[str]:
    environment = {
        "TURNLOG_REDIS_URL": stage.redis_url,
        "TURNLOG_POSTGRES_URL": stage.postgres_url,
        "TURNLOG_PORT": str(port),
        **settings,
    }
    return subprocess.Popen(
        [sys.executable, "-c", _SERVE], env=environment, stderr=subprocess.PIPE, text=True
    )


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_ends_well(stage: Stage, number: signal.Signals) -> None:
    port = free_port()
    process = start(stage, port, TURNLOG_ACCESS_LOG="1")
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(url), "the API answers")
        secret = {"role": "user", "content": "a secret text"}
        headers = {"X-Request-Id": "my-request"}
        answer = httpx.post(f"{url}/v1/sessions/s/turns", json=secret, headers=headers)
        assert answer.status_code == 201
        assert answer.headers["x-request-id"] == "my-request"
        stage.project()
        assert httpx.get(f"{url}/v1/sessions/s/turns?limit=1").json()["total_count"] == 1
        process.send_signal(number)
        _, log = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, log
    assert "POST /v1/sessions/s/turns 201" in log
    assert "my-request" in log
    assert "secret" not in log
    assert "Traceback" not in log


@pytest.mark.integration
def test_a_taken_port_ends_the_start(stage: Stage) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(stage, taken.getsockname()[1])
        _, log = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in log


def document() -> dict[str, Any]:
    settings = ApiSettings(redis_url="redis://localhost", postgres_url="postgresql://localhost")
    return create_app(settings).openapi()


def test_every_reference_of_the_documentation_leads_somewhere() -> None:
    described = document()
    text = json.dumps(described)
    for part in text.split('"$ref": "')[1:]:
        place: Any = described
        for step in part.split('"')[0].removeprefix("#/").split("/"):
            place = place[step]


_EMPTY = {"204", "304"}
"""Answers that have no content."""


def test_every_route_is_described_with_examples_that_fit() -> None:
    described = document()
    components = described["components"]
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            name = f"{method} {path}"
            assert route["summary"], name
            assert route["description"], name
            answers = route["responses"]
            contents = [each["content"] for code, each in answers.items() if code not in _EMPTY]
            if "requestBody" in route:
                contents.append(route["requestBody"]["content"])
            for content in contents:
                for media in content.values():
                    if path.startswith("/v1/"):
                        schema = {**media["schema"], "components": components}
                        jsonschema.validate(media["example"], schema)


def test_every_path_parameter_is_described() -> None:
    for path, methods in document()["paths"].items():
        for route in methods.values():
            named = {p["name"] for p in route.get("parameters", []) if p["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


def test_the_models_of_answers_are_those_of_the_fold() -> None:
    from turnlog_schemas.rows import SESSION_ITEM, Turn

    assert tuple(models.Session.model_fields) == SESSION_ITEM
    assert tuple(models.Turn.model_fields) == tuple(Turn.__annotations__)
