"""How a command finds its servers: options, the environment, the running instance, else advice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from turnlog_cli import instance
from turnlog_cli.instance import (
    AlreadyRunning,
    DataDirLock,
    NoInstance,
    ServerUrls,
    default_data_dir,
    find_instance,
    resolve_servers,
    run_path,
    write_run_file,
)

URLS = ServerUrls("redis://:secret@127.0.0.1:1/0", "postgresql://turnlog:x@127.0.0.1:2/turnlog")
RUNNING = URLS._replace(api_url="http://127.0.0.1:8000")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "POSTGRES_URL", "DATA_DIR"):
        monkeypatch.delenv(f"TURNLOG_{name}", raising=False)


def test_the_data_folder_follows_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/turnlog")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_data_dir() == Path("/home/ada/.local/share/turnlog")
    monkeypatch.setenv("XDG_DATA_HOME", "/data/ada")
    assert default_data_dir() == Path("/data/ada/turnlog")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_data_dir() == Path("/home/ada/Library/Application Support/turnlog")
    monkeypatch.setenv("TURNLOG_DATA_DIR", "~/chats")
    assert default_data_dir() == Path("/home/ada/chats")


def test_nothing_runs_without_a_lock(tmp_path: Path) -> None:
    assert find_instance(tmp_path / "absent") is None
    with DataDirLock(tmp_path):
        write_run_file(tmp_path, RUNNING)
        assert find_instance(tmp_path) == RUNNING
    assert find_instance(tmp_path) is None
    assert not run_path(tmp_path).exists()


def test_a_run_file_of_a_process_that_was_killed_is_not_believed_while_another_starts(
    tmp_path: Path,
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with DataDirLock(tmp_path):
        record = {**RUNNING._asdict(), "pid": ended.pid}
        run_path(tmp_path).write_text(json.dumps(record))
        with pytest.raises(NoInstance, match="just starting"):
            find_instance(tmp_path)


def test_a_run_file_without_its_process_counts_for_nothing(tmp_path: Path) -> None:
    with DataDirLock(tmp_path):
        pass
    write_run_file(tmp_path, RUNNING)
    assert find_instance(tmp_path) is None
    with DataDirLock(tmp_path), pytest.raises(NoInstance, match="just starting or stopping"):
        find_instance(tmp_path)


def test_a_second_lock_names_pid_and_address(tmp_path: Path) -> None:
    with DataDirLock(tmp_path):
        write_run_file(tmp_path, RUNNING)
        with pytest.raises(AlreadyRunning) as raised:
            DataDirLock(tmp_path).acquire()
    assert f"(pid {os.getpid()}) at http://127.0.0.1:8000" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_lock_leaves_no_file_and_a_refused_one_changes_none(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with DataDirLock(tmp_path):
        before = lock.stat().st_ino
        with pytest.raises(AlreadyRunning):
            DataDirLock(tmp_path).acquire()
        assert lock.stat().st_ino == before
        assert lock.read_text() == f"{os.getpid()}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_waited_for_is_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = DataDirLock(tmp_path), DataDirLock(tmp_path)
    first.acquire()
    try_lock = instance._try_lock

    def release_meanwhile(fd: int, kind: int) -> bool:
        first.release()  # removes the file that the second one has just opened
        return try_lock(fd, kind)

    monkeypatch.setattr(instance, "_try_lock", release_meanwhile)
    second.acquire()
    monkeypatch.undo()
    with pytest.raises(AlreadyRunning):
        DataDirLock(tmp_path).acquire()
    second.release()


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(NoInstance, match="name a data folder by --data-dir"):
        default_data_dir()


def test_the_run_file_is_for_its_owner_only(tmp_path: Path) -> None:
    write_run_file(tmp_path, RUNNING)
    assert run_path(tmp_path).stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_told_whom_to_be(folder: Path) -> None:
    folder.mkdir(mode=0o711)
    with DataDirLock(folder):
        write_run_file(folder, RUNNING)
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            try:
                find_instance(folder)
            except NoInstance as error:
                os._exit(0 if "belongs to another user" in str(error) else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_option_wins_over_the_environment_and_that_over_the_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DataDirLock(tmp_path):
        write_run_file(tmp_path, RUNNING)
        assert resolve_servers(data_dir=tmp_path) == RUNNING
        monkeypatch.setenv("TURNLOG_REDIS_URL", "redis://other")
        mixed = resolve_servers(data_dir=tmp_path)
        assert mixed == ServerUrls("redis://other", URLS.postgres_url)
        assert resolve_servers(redis_url="redis://given", postgres_url="postgresql://given") == (
            ServerUrls("redis://given", "postgresql://given")
        )


def test_without_servers_the_error_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(NoInstance, match=r"start `turnlog up` .* TURNLOG_POSTGRES_URL"):
        resolve_servers(data_dir=tmp_path)


def test_the_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib; from turnlog_cli.instance import DataDirLock;"
        "DataDirLock(pathlib.Path(sys.argv[1])).acquire(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    with DataDirLock(tmp_path):
        pass
