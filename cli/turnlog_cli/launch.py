"""Run a program that ends with its parent, as another user if wanted. Run as a script of its own:

    python -I -S launch.py PARENT_PID SIGNAL UID GID PROGRAM [ARG...]

UID -1 stays the user that it is. A script instead of subprocess's preexec_fn, because code between
fork and exec is unsafe in a process that has threads. Uses the standard library only.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    parent, death_signal, uid, gid = (int(text) for text in argv[1:5])
    program = argv[5:]
    os.umask(0o077)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid: a change of user clears it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:  # the parent ended before the signal was armed
        sys.exit("the process that starts this one has ended")
    try:
        os.execv(program[0], program)  # noqa: S606
    except OSError as error:
        sys.exit(f"cannot run {program[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv)
