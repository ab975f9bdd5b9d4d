"""compose.yaml as a compose tool reads it, for tests that run its services as local processes."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
COMPOSE_FILE = REPOSITORY / "compose.yaml"
_UNITS = {"s": 1, "m": 60, "h": 3600}


class ComposeRefused(Exception):
    """The tool does not take the file; the text is what it said."""


@dataclass(frozen=True)
class Service:
    """One service: what a container engine would run, in which environment, and after what."""

    name: str
    command: list[str]
    environment: dict[str, str]
    health: list[str]
    depends_on: dict[str, str]
    stop_grace_s: float
    settings: dict[str, Any]
    """All that the file says of it."""


def compose_config(variables: Mapping[str, str]) -> dict[str, Any]:
    """The file with these variables filled in, by podman-compose. No engine is needed for that."""
    with tempfile.NamedTemporaryFile() as no_variables:
        # `--env-file`: or it would read the .env of whoever runs the tests.
        made = subprocess.run(
            [
                *(sys.executable, "-m", "podman_compose", "--dry-run"),
                *("--env-file", no_variables.name, "-f", str(COMPOSE_FILE), "config"),
            ],
            env={"PATH": os.environ["PATH"], **variables},
            capture_output=True,
            text=True,
            check=False,
        )
    if made.returncode != 0:
        raise ComposeRefused(made.stderr)
    return yaml.safe_load(made.stdout)


def read_services(variables: Mapping[str, str]) -> dict[str, Service]:
    """The services by name, each one after those that it depends on."""
    services: dict[str, Any] = compose_config(variables)["services"]
    ordered: dict[str, Service] = {}
    while len(ordered) < len(services):
        ready = [
            name
            for name, settings in services.items()
            if name not in ordered and ordered.keys() >= settings.get("depends_on", {}).keys()
        ]
        assert ready, f"services wait for each other: {services.keys() - ordered.keys()}"
        ordered |= {name: _service(name, services[name]) for name in ready}
    return ordered


def seconds(duration: str) -> float:
    """A duration as compose files write it, such as 1m30s."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smh])", duration))


def _service(name: str, settings: dict[str, Any]) -> Service:
    test: list[str] = settings.get("healthcheck", {}).get("test", [])
    health = {"CMD": test[1:], "CMD-SHELL": ["sh", "-c", *test[1:]]}[test[0]] if test else []
    return Service(
        name=name,
        command=settings["command"],
        environment=settings.get("environment", {}),
        health=health,
        depends_on={k: v["condition"] for k, v in settings.get("depends_on", {}).items()},
        stop_grace_s=seconds(settings.get("stop_grace_period", "10s")),
        settings=settings,
    )
