"""compose.yaml, Dockerfile and .env.example fit each other, the settings and the packages."""

import json
import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml
from compose_pydantic import ComposeSpecification  # pyright: ignore[reportMissingTypeStubs]
from composed import COMPOSE_FILE, REPOSITORY, ComposeRefused, compose_config, read_services

from turnlog_api.settings import MIN_SECRET_BYTES, ApiSettings
from turnlog_projector.settings import Settings

SECRETS = ["TURNLOG_JWT_SECRET", "TURNLOG_POSTGRES_PASSWORD", "TURNLOG_REDIS_PASSWORD"]
FILLED = dict.fromkeys(SECRETS, "0" * 64)


def test_the_file_keeps_to_the_compose_specification() -> None:
    document: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
    ComposeSpecification(**{k: v for k, v in document.items() if not k.startswith("x-")})


def test_the_specification_notices_a_misspelt_key() -> None:
    with pytest.raises(ValueError, match="heathcheck"):
        ComposeSpecification.model_validate({"services": {"api": {"heathcheck": {}}}})


@pytest.mark.parametrize("secret", SECRETS)
def test_without_a_secret_it_says_how_to_make_one(secret: str) -> None:
    given = {name: value for name, value in FILLED.items() if name != secret}
    with pytest.raises(ComposeRefused, match=rf"{secret} .*`openssl rand -hex 32`.*\.env"):
        compose_config(given)


def test_only_the_api_is_published_and_only_to_this_machine() -> None:
    services = read_services(FILLED)
    published = {n: s.settings["ports"] for n, s in services.items() if "ports" in s.settings}
    assert published == {"api": ["127.0.0.1:8000:8000"]}


def test_auth_is_on() -> None:
    environment = read_services(FILLED)["api"].environment
    assert environment["TURNLOG_AUTH"] == "jwt"
    assert environment["TURNLOG_JWT_SECRET"] == FILLED["TURNLOG_JWT_SECRET"]
    assert len("0" * 64) >= MIN_SECRET_BYTES


def test_servers_are_of_a_fixed_major_version_and_keep_their_data_in_volumes() -> None:
    document = compose_config(FILLED)
    for name in ("redis", "postgres"):
        assert re.search(r":\d+$", document["services"][name]["image"])
        volumes = [entry.split(":")[0] for entry in document["services"][name]["volumes"]]
        assert volumes == [name]
        assert name in document["volumes"]


def test_what_runs_on_has_a_health_check_and_comes_back() -> None:
    for name, service in read_services(FILLED).items():
        if name != "init":
            assert service.health
            assert service.settings["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", ["init", "projector", "api"])
def test_services_are_given_settings_that_exist(service: str) -> None:
    kind = ApiSettings if service == "api" else Settings
    known = {f"TURNLOG_{name.upper()}" for name in kind.model_fields}
    assert read_services(FILLED)[service].environment.keys() <= known


def test_env_example_names_every_variable_and_no_other() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE_FILE.read_text()))
    example = (REPOSITORY / ".env.example").read_text()
    assert set(re.findall(r"^#?(TURNLOG_\w+)=", example, re.MULTILINE)) == used
    assert set(re.findall(r"^(TURNLOG_\w+)=$", example, re.MULTILINE)) == set(SECRETS)


def test_env_is_ignored_by_git() -> None:
    assert ".env" in (REPOSITORY / ".gitignore").read_text().splitlines()


def _dockerfile() -> list[tuple[str, list[str]]]:
    """Its instructions, each with its words."""
    text = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], shlex.split(line)[1:]) for line in lines]


def _copied() -> list[str]:
    return [
        source
        for instruction, words in _dockerfile()
        if instruction == "COPY" and not words[0].startswith("--from=")
        for source in words[:-1]
    ]


def test_the_image_copies_what_exists_and_what_is_not_ignored() -> None:
    ignore = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in ignore
    for source in _copied():
        assert (REPOSITORY / source).exists()
        assert f"!{source}" in ignore


def test_the_image_has_all_packages_and_the_extras_that_exist() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    packages: list[str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {package.split("/")[0] for package in packages} <= set(_copied())
    assert project["project"]["readme"] in _copied()
    installed = re.search(r"\.whl\)\[([\w,]+)\]", (REPOSITORY / "Dockerfile").read_text())
    assert installed is not None
    assert set(installed[1].split(",")) == {"projector", "api", "cli"}
    assert set(installed[1].split(",")) <= project["project"]["optional-dependencies"].keys()


def test_the_image_runs_a_tested_python_as_a_user_of_its_own() -> None:
    instructions = _dockerfile()
    classifiers = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    bases = [words[0] for instruction, words in instructions if instruction == "FROM"]
    assert len(set(bases)) == 1
    version = re.fullmatch(r"python:(3\.\d+)-slim", bases[-1])
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in classifiers["classifiers"]
    users = [words[0] for instruction, words in instructions if instruction == "USER"]
    assert users == ["turnlog"]


def test_the_image_starts_the_command_without_a_shell() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    command = re.search(r"^CMD (.*)$", text, re.MULTILINE)
    assert command is not None
    assert json.loads(command[1])[0] == "turnlog"
    assert "\nENTRYPOINT" not in text
    assert "\nHEALTHCHECK NONE\n" in text
