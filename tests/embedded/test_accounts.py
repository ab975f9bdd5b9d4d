"""Started by root, the servers run as somebody else; a normal user needs nothing special."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from servers import binaries

from turnlog_cli.accounts import Account, DataDirUnusable, closed_parent
from turnlog_cli.embedded import EmbeddedServers

pytestmark = pytest.mark.integration
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
OTHER_USER = 1000


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


@as_root
def test_a_normal_user_starts_them_in_a_folder_of_its_own(folder: Path) -> None:
    try:
        entry = pwd.getpwuid(OTHER_USER)
    except KeyError:
        pytest.skip(f"no user has the id {OTHER_USER}")
    account = Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
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
    done = subprocess.run(
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
    assert done.stdout.split() == [str(account.uid), "turnlog"], done.stderr
    # Root goes on with it as the user whom the folder belongs to.
    with EmbeddedServers(folder, durable=False, **binaries()) as servers:
        with psycopg.connect(servers.urls.postgres_url) as connection:
            connection.execute("SELECT 1")
        assert Path(f"/proc/{servers.postgres.pid}").stat().st_uid == account.uid
