"""Becomes another program that the kernel ends together with the process that started it.

Run as a script by `services.local.supervisor`, before the program proper:

    python -I -S leash.py PARENT_PID SIGNAL UID GID PROGRAM ARGUMENT…

A script of its own, because the same steps between fork and exec inside an asyncio process
(`preexec_fn`) can deadlock on a lock that another thread held at the fork. It may use the standard
library only: with `-S` nothing else is there. `UID` -1 keeps the user.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Drop the user, tie the process to its parent, and become the program.

    Raises:
        OSError: the program is not there, or the user may not be dropped.
    """
    parent, signal_number, uid, gid = (int(text) for text in arguments[:4])
    program = arguments[4:]
    if uid != -1:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After the user was dropped: the kernel clears the death signal when credentials change.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # A parent that died before the line above sends nothing any more.
    if os.getppid() != parent:
        sys.exit("the process that started this one has ended")
    os.execvp(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
