"""Which user the embedded servers run as, and what that user can reach.

PostgreSQL refuses to run as root. Started by root, the servers therefore run as the owner of the
data folder or, when root owns it, as `nobody`. Nothing outside the data folder is changed for that.
"""

import os
import pwd
import stat
from pathlib import Path
from typing import NamedTuple

from turnlog_schemas.errors import TurnlogError

_UNPRIVILEGED = "nobody"
_OTHERWISE = "run turnlog as a user that exists, or set TURNLOG_REDIS_URL and TURNLOG_POSTGRES_URL"


class DataDirUnusable(TurnlogError):
    """The data folder cannot be used by this user; the text says what to do."""


class Account(NamedTuple):
    """A user to run servers as."""

    uid: int
    gid: int
    name: str


def server_account(folder: Path) -> Account | None:
    """The user to drop to, or None to stay who we are. `folder` exists."""
    if os.geteuid() != 0:
        return None
    found = folder.stat()
    try:
        entry = pwd.getpwuid(found.st_uid) if found.st_uid else pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        if found.st_uid:  # the owner of a volume, say: a uid without a name
            return Account(found.st_uid, found.st_gid, str(found.st_uid))
        raise DataDirUnusable(
            f"user {_UNPRIVILEGED!r} does not exist here, and PostgreSQL cannot run as root:"
            f" {_OTHERWISE}"
        ) from None
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def name_to_lend(account: Account | None) -> int | None:
    """The uid that the servers' user is to see as its own while PostgreSQL makes a cluster, which
    it does for a user with a name only; None when it has one. Files get the real uid all the same.
    """
    uid = account.uid if account else os.geteuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        named = [entry for entry in pwd.getpwall() if entry.pw_uid]
        named.sort(key=lambda entry: entry.pw_name != _UNPRIVILEGED)
        if not named:
            raise nameless(uid) from None
        return named[0].pw_uid
    return None


def nameless(uid: int) -> DataDirUnusable:
    """For a user who has no name, and to whom none can be lent."""
    return DataDirUnusable(
        f"user id {uid} has no name on this machine (/etc/passwd), which PostgreSQL needs to make"
        f" its cluster, and no user namespace can lend it one here: {_OTHERWISE}"
    )


def prepare_folder(folder: Path) -> None:
    """Create the data folder if need be: private, but for root's, which servers pass through."""
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)
        elif os.geteuid() == 0 and folder.stat().st_uid == 0:
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o111)
    except FileExistsError:
        raise DataDirUnusable(f"{folder} is not a folder: choose another --data-dir") from None
    except OSError as error:
        raise DataDirUnusable(
            f"{folder} cannot be created ({error.strerror}): choose another --data-dir"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataDirUnusable(
            f"{folder} belongs to another user: run turnlog as that user, or choose another"
            " --data-dir"
        )


def own_subfolder(path: Path, account: Account | None) -> Path:
    """Create a folder that only the servers' user may enter."""
    path.mkdir(mode=0o700, exist_ok=True)
    if account is not None and path.stat().st_uid != account.uid:
        os.chown(path, account.uid, account.gid)
    return path


def check_reachable(folder: Path, account: Account | None) -> None:
    """Refuse a folder below one that the servers' user may not enter."""
    closed = closed_parent(folder, account)
    if closed is not None and account is not None:
        raise DataDirUnusable(
            f"the servers run as user {account.name!r}, not as root, and {closed} does not let that"
            f" user reach {folder}: choose a folder such as --data-dir /var/lib/turnlog, or run"
            " turnlog as a normal user"
        )


def closed_parent(path: Path, account: Account | None) -> Path | None:
    """The first folder on the way to `path` (itself included) that this user may not enter."""
    if account is None:
        return None
    for folder in [*reversed(path.resolve().parents), path.resolve()]:
        found = folder.stat()
        if found.st_uid == account.uid:
            allowed = found.st_mode & stat.S_IXUSR
        elif found.st_gid == account.gid:
            allowed = found.st_mode & stat.S_IXGRP
        else:
            allowed = found.st_mode & stat.S_IXOTH
        if not allowed:
            return folder
    return None
