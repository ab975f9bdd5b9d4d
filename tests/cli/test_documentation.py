"""Every command explains itself, and every command and setting is documented."""

import re
from pathlib import Path

import pytest
from cli_running import Turnlog

from turnlog_api.settings import ApiSettings
from turnlog_cli.app import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTED = (REPOSITORY / "docs" / "commands.md").read_text()
PACKAGES = ("api", "cli", "client", "producers", "projector", "schemas")


@pytest.fixture
def alone() -> Turnlog:
    """The command, without servers."""
    return Turnlog("", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_a_sentence_and_an_example(alone: Turnlog, name: str) -> None:
    ran = alone(name, "--help")
    assert ran.code == 0
    paragraphs = [" ".join(part.split()) for part in ran.out.split("\n\n")]
    assert re.match(r"[A-Z].*\.$", paragraphs[1])
    example = re.search(r"Example:\n +(turnlog .*)\n", ran.out)
    assert example is not None
    assert example[1].split()[1] == name


@pytest.mark.parametrize("name", COMMANDS)
def test_servers_and_folder_can_be_named(alone: Turnlog, name: str) -> None:
    text = " ".join(alone(name, "--help").out.split())
    if name in ("schema", "token"):
        return
    assert "--data-dir" in text
    assert "env var: TURNLOG_DATA_DIR" in text
    assert "env var: TURNLOG_REDIS_URL" in text or "env var: TURNLOG_POSTGRES_URL" in text
    if name not in ("up", "api", "projector"):
        assert "--json" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert f"| `turnlog {name}` |" in DOCUMENTED


def settings() -> list[str]:
    """Every variable that the code knows."""
    found = {f"TURNLOG_{name.upper()}" for name in ApiSettings.model_fields}
    for package in PACKAGES:
        for file in (REPOSITORY / package).rglob("*.py"):
            found |= set(re.findall(r"TURNLOG_[A-Z_]*[A-Z]", file.read_text()))
    return sorted(found)


@pytest.mark.parametrize("name", settings())
def test_every_setting_is_documented(name: str) -> None:
    assert f"| {name} |" in DOCUMENTED


def test_no_setting_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| (TURNLOG_\w+) \|", DOCUMENTED, re.MULTILINE)) == set(settings())
