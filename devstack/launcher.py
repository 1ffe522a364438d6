"""Become a service: drop to a user, ask to die with the parent, then exec. Run as a script, by path.

An own program and not a `preexec_fn`, which may deadlock where the parent has threads.
"""

import argparse
import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Exec the command given after the options; the process id stays the same."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    if arguments.uid is not None:
        _become(arguments.uid, arguments.gid)
    if sys.platform == "linux":
        # After the change of user, which would clear it.
        _die_with_parent(arguments.parent, arguments.death_signal)
    os.execv(arguments.command[0], arguments.command)  # noqa: S606 - no shell is wanted


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _die_with_parent(parent: int, death_signal: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit("the parent died first")


if __name__ == "__main__":
    main()
