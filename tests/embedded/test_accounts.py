"""Started by root, the servers run as somebody else; a normal user needs nothing special."""

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from servers import binaries

from turnlog_cli import embedded
from turnlog_cli.accounts import Account, DataDirUnusable, closed_parent
from turnlog_cli.embedded import EmbeddedServers
from turnlog_cli.processes import launch

pytestmark = pytest.mark.integration
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
OTHER_USER = 1000
NAMELESS = Account(54_321, 54_321, "54321")


@as_root
def test_the_servers_of_root_run_as_nobody(folder: Path) -> None:
    with EmbeddedServers(folder, durable=False, **binaries()) as servers:
        nobody = pwd.getpwnam("nobody").pw_uid
        for process in (servers.redis, servers.postgres):
            assert Path(f"/proc/{process.pid}").stat().st_uid == nobody
        assert (folder / "postgres").stat().st_uid == nobody
        assert folder.stat().st_uid == 0


@as_root
def test_a_folder_that_nobody_can_reach_is_refused_with_advice(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    inner = folder / "inner"
    with pytest.raises(DataDirUnusable, match=r"a folder does not let .* /var/lib/turnlog"):
        EmbeddedServers(inner, **binaries()).start()
    assert folder.stat().st_mode & 0o777 == 0o700


def _python_for(account: Account) -> str | None:
    """An interpreter that this user can run: ours may lie in a closed home."""
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, system):
        real = Path(path).resolve()
        if real.exists() and closed_parent(real.parent, account) is None:
            return path
    return None


_START = """
import os, sys
from pathlib import Path
from servers import binaries
from turnlog_cli.embedded import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1]), durable=False, **binaries()) as servers:
    import psycopg
    with psycopg.connect(servers.urls.postgres_url) as connection:
        print(os.getuid(), connection.execute("SELECT current_user").fetchone()[0])
"""


def start_as(account: Account, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Start and stop them as this user, who owns the folder."""
    python = _python_for(account)
    here = Path(__file__).parent.parent
    if python is None or closed_parent(here, account) is not None:
        pytest.skip("no Python, or not this repository, within reach of a normal user")
    # pip chose the packages for our patch release; before 3.11.3, redis wants this one as well.
    modules = folder.parent / "modules"
    modules.mkdir(mode=0o755)
    (modules / "async_timeout.py").write_text("from asyncio import timeout as timeout\n")
    folder.mkdir()
    os.chown(folder, account.uid, account.gid)
    return subprocess.run(
        [python, "-c", _START, folder],
        env={"PYTHONPATH": os.pathsep.join([str(here), *sys.path, str(modules)])}
        | {k: v for k, v in os.environ.items() if k == "TURNLOG_TEST_SERVERS"},
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@as_root
def test_a_normal_user_starts_them_in_a_folder_of_its_own(folder: Path) -> None:
    try:
        entry = pwd.getpwuid(OTHER_USER)
    except KeyError:
        pytest.skip(f"no user has the id {OTHER_USER}")
    account = Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    done = start_as(account, folder)
    assert done.stdout.split() == [str(account.uid), "turnlog"], done.stderr
    # Root goes on with it as the user whom the folder belongs to.
    with EmbeddedServers(folder, durable=False, **binaries()) as servers:
        with psycopg.connect(servers.urls.postgres_url) as connection:
            connection.execute("SELECT 1")
        assert Path(f"/proc/{servers.postgres.pid}").stat().st_uid == account.uid


def namespaces_allowed(account: Account) -> bool:
    """Whether this system lets a user see another uid as its own."""
    seen = launch(["/bin/true"], death_signal=signal.SIGTERM, account=account, seen_as=OTHER_USER)
    return seen.wait() == 0


@as_root
def test_a_user_id_without_a_name_is_lent_one(folder: Path) -> None:
    with pytest.raises(KeyError):
        pwd.getpwuid(NAMELESS.uid)
    done = start_as(NAMELESS, folder)
    if not namespaces_allowed(NAMELESS):
        assert "has no name on this machine (/etc/passwd)" in done.stderr
        return
    assert done.stdout.split() == [str(NAMELESS.uid), "turnlog"], done.stderr
    files = [folder / "postgres", *(folder / "postgres").rglob("*")]
    assert {path.lstat().st_uid for path in files} == {NAMELESS.uid}
    # The name is needed once: the cluster is there.
    with EmbeddedServers(folder, durable=False, **binaries()) as servers:
        assert Path(f"/proc/{servers.postgres.pid}").stat().st_uid == NAMELESS.uid


@as_root
def test_root_makes_them_for_a_user_id_without_a_name(folder: Path) -> None:
    if not namespaces_allowed(NAMELESS):
        pytest.skip("this system allows no user namespaces")
    folder.mkdir(mode=0o755)
    os.chown(folder, NAMELESS.uid, NAMELESS.gid)
    with EmbeddedServers(folder, durable=False, **binaries()) as servers:
        assert Path(f"/proc/{servers.redis.pid}").stat().st_uid == NAMELESS.uid
        with psycopg.connect(servers.urls.postgres_url) as connection:
            connection.execute("SELECT 1")


@as_root
def test_where_no_name_can_be_lent_the_start_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(mode=0o755)
    os.chown(folder, NAMELESS.uid, NAMELESS.gid)

    def not_to_be_mapped(_: Account | None) -> int:
        return 2**32 - 1

    monkeypatch.setattr(embedded, "name_to_lend", not_to_be_mapped)
    with pytest.raises(DataDirUnusable, match=r"user id 54321 has no name .* no user namespace"):
        EmbeddedServers(folder, durable=False, **binaries()).start()
    assert not (folder / "postgres").exists()
