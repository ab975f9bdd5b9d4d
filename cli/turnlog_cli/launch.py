"""Run a program that ends with its parent, as another user if wanted. Run as a script of its own:

    python -I -S launch.py PARENT_PID SIGNAL UID GID SEEN_AS PROGRAM [ARG...]

UID -1 stays the user that it is. SEEN_AS is the uid that the program is to see as its own, in a
user namespace (Linux); -1: the real one. A script instead of subprocess's preexec_fn, because code
between fork and exec is unsafe in a process that has threads. Uses the standard library only.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_CLONE_NEWUSER = 0x10000000

NOT_SEEN_AS = 77
"""The exit code when this system does not let the program see another uid as its own."""


def main(argv: list[str]) -> None:
    parent, death_signal, uid, gid, seen_as = (int(text) for text in argv[1:6])
    program = argv[6:]
    os.umask(0o077)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if seen_as >= 0:
        try:
            _be_seen_as(seen_as)
        except OSError as error:
            print(f"cannot be seen as user id {seen_as}: {error.strerror}", file=sys.stderr)
            sys.exit(NOT_SEEN_AS)
    if sys.platform == "linux":
        # After setuid: a change of user clears it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:  # the parent ended before the signal was armed
        sys.exit("the process that starts this one has ended")
    try:
        os.execv(program[0], program)  # noqa: S606
    except OSError as error:
        sys.exit(f"cannot run {program[0]}: {error.strerror}")


def _be_seen_as(uid: int) -> None:
    real_uid, real_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    # Who has changed its uid may not write to its own files in /proc, unless it says so.
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for name, text in (
        ("setgroups", b"deny"),  # without it the group may not be mapped
        ("gid_map", b"%d %d 1" % (uid, real_gid)),
        ("uid_map", b"%d %d 1" % (uid, real_uid)),
    ):
        # Not as text: that would import a codec, perhaps from where this user cannot reach it.
        file = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(file, text)
        os.close(file)


if __name__ == "__main__":
    main(sys.argv)
