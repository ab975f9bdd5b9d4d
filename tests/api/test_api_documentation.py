"""docs/api.md: every operation has its example, and every example does what stands there."""

import contextlib
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx
import pytest
from isolation_routes import documented
from live_api import listening, projecting
from servers import wait_until

from turnlog_projector.init import initialise

pytestmark = pytest.mark.integration

ADDRESS = "localhost:8000"
REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "api.md").read_text()
ANY = "…"
BLOCK = re.compile(r"^(### `[^\n]*`)$|^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIABLES = {"export_id": "EXPORT", "rebuild_id": "REBUILD", "next_cursor": "CURSOR"}
"""What later examples take from the answers of earlier ones."""


class Block(NamedTuple):
    """A block of code below the heading of an operation."""

    operation: str
    language: str
    text: str


def blocks() -> list[Block]:
    found: list[Block] = []
    operation = ""
    for heading, language, text in BLOCK.findall(PAGE):
        if heading:
            operation = heading.strip("# `")
        else:
            found.append(Block(operation, language, text))
    return found


@pytest.mark.parametrize("operation", [f"{method} {path}" for method, path in documented()])
def test_every_operation_has_an_example_in_both(operation: str) -> None:
    languages = {block.language for block in blocks() if block.operation == operation}
    assert {"sh", "python"} <= languages


def test_no_example_is_of_an_operation_that_does_not_exist() -> None:
    operations = {f"{method} {path}" for method, path in documented()}
    assert {block.operation for block in blocks()} <= operations | {""}


def test_every_call_of_the_table_exists() -> None:
    paths = "\n".join(path for _, path in documented())
    beginning = PAGE.split("## Conventions")[0]
    table = "\n".join(re.findall(r"^\| .* \| (.*) \|$", beginning, re.MULTILINE))
    calls = re.findall(r"`(?:[A-Z, ]+ )?(?:/v1|…)?(/[a-z/{}_]+)", table)
    assert calls
    assert not [call for call in calls if call not in paths]


class Served(NamedTuple):
    address: str
    api: httpx.Client

    def settle(self) -> None:
        """Wait until all that was asked for is done: examples read what those before have made."""

        def settled() -> bool:
            status = self.api.get("/v1/status").raise_for_status().json()
            behind = (status["lag"]["events"], status["search"]["events_behind"])
            jobs = [
                job
                for path in ("/v1/exports", "/v1/rebuilds")
                for job in self.api.get(path).raise_for_status().json()["items"]
            ]
            return behind == (0, 0) and all(
                job["state"] not in ("waiting", "running") for job in jobs
            )

        wait_until(settled, "what the examples began is done")


@pytest.fixture
def served(redis_url: str, postgres_url: str) -> Iterator[Served]:
    """An empty API with a projector."""
    initialise(redis_url, postgres_url, partitions=4)
    servers = (redis_url, postgres_url)
    with (
        projecting(*servers),
        listening(*servers) as url,
        httpx.Client(base_url=url) as api,
    ):
        yield Served(url.removeprefix("http://"), api)


def like(found: Any, shown: Any, place: str = "answer") -> None:
    """The answer is the documented one, but for what is left open there."""
    if shown == ANY:
        return
    if isinstance(shown, dict):
        members = cast(dict[str, Any], shown)
        assert isinstance(found, dict), place
        names = set(members) - {ANY}
        assert names <= set(cast(dict[str, Any], found)), place
        assert ANY in members or set(cast(dict[str, Any], found)) == names, place
        for name in names:
            like(found[name], members[name], f"{place}.{name}")
    elif isinstance(shown, list):
        items = cast(list[Any], shown)
        assert isinstance(found, list), place
        assert len(cast(list[Any], found)) == len(items), place
        for number, item in enumerate(items):
            like(found[number], item, f"{place}[{number}]")
    else:
        assert found == shown, place


def note(answer: Any, variables: dict[str, str]) -> None:
    """Keep what later examples take from an answer."""
    if isinstance(answer, dict):
        members = cast(dict[str, Any], answer)
        for name, variable in VARIABLES.items():
            if members.get(name) is not None:
                variables[variable] = str(members[name])


def test_the_curl_examples_do_what_stands_there(served: Served, tmp_path: Path) -> None:
    variables: dict[str, str] = {}
    following = [*blocks()[1:], Block("", "", "")]
    for block, after in zip(blocks(), following, strict=True):
        if block.language != "sh":
            continue
        served.settle()
        script = block.text.replace(ADDRESS, served.address)
        ran = subprocess.run(
            ["bash", "-euc", f'curl() {{ command curl -sS "$@"; }}\n{script}'],
            cwd=tmp_path,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, (block, ran.stderr)
        if after.language == "json":
            answer = json.loads(ran.stdout[ran.stdout.rfind("}{") + 1 :])  # of the last call
            like(answer, json.loads(after.text), block.text)
            note(answer, variables)
        else:
            assert after.language == "text", f"what does this answer?\n{block.text}"
            for line in after.text.splitlines():
                assert line == ANY or line in ran.stdout.splitlines(), (block.text, ran.stdout)


def test_the_python_examples_print_what_stands_there(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks():
        if block.language != "python":
            continue
        served.settle()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(block.text.replace(ADDRESS, served.address), names)
        shown = re.findall(r"^(?: *print\(.*\)  )?# (.*)$", block.text, re.MULTILINE)
        assert printed.getvalue().splitlines() == shown, block.text
    names["client"].close()
