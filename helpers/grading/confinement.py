"""Limit this process for good: an empty home and folder, few variables, no output, and what the
system can forbid.

Three walls stand behind each other. Linux's Landlock lets no code of the process write outside its
folder. Limits of the system bound time, memory and the size of files. Python's audit events, on
every system, refuse other programs, sockets and files elsewhere with a message; machine code does
not meet this third wall.
"""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

CHANGING = frozenset(
    {
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.mkdir",
        "os.link",
        "os.symlink",
        "os.truncate",
        "os.chmod",
        "os.chown",
        "os.utime",
        "os.chflags",
        "os.setxattr",
        "os.removexattr",
        "shutil.rmtree",
        "shutil.move",
        "sqlite3.connect",
    }
)
FORBIDDEN = frozenset(
    {
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "os.fork",
        "os.forkpty",
        "pty.spawn",
        "os.kill",
        "os.killpg",
        "os.startfile",
        "signal.pthread_kill",
        "ctypes.dlopen",
        "sys.addaudithook",
        "resource.prlimit",
        "resource.setrlimit",
    }
)
FAMILIES = ("socket.", "subprocess.", "winreg.", "webbrowser.", "urllib.")


def confine(own: str, seconds: float, mebibytes: int, keep: int) -> None:
    """Limit this process.

    Args:
        own: The folder in which it may write, and its home.
        seconds: Of processor time, twice which ends it.
        mebibytes: Of memory above what is in use now; Linux only.
        keep: The one file descriptor that stays open, besides input and output.
    """
    own = os.path.realpath(own)
    for name in list(os.environ):
        if name not in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH"):
            del os.environ[name]
    os.environ.update(
        dict.fromkeys(("HOME", "USERPROFILE", "COURSE_DATA", "TMPDIR", "TEMP", "TMP"), own)
    )
    os.chdir(own)
    sys.dont_write_bytecode = True
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    if hasattr(os, "setsid"):
        # those of the processes that it came from
        for descriptor in (
            *range(3, keep),
            *range(keep + 1, 1024),
        ):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        with contextlib.suppress(OSError):
            os.setsid()  # whatever it starts can be ended with it
    _limit_resources(seconds, mebibytes)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            _no_network()
        with contextlib.suppress(OSError, AttributeError):
            _write_only_below(own)
    for module, name in (("_posixsubprocess", "fork_exec"), ("signal", "pidfd_send_signal")):
        if hasattr(sys.modules.get(module), name):
            delattr(sys.modules[module], name)
    sys.addaudithook(_hook(own))


def _limit_resources(seconds: float, mebibytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = [(resource.RLIMIT_CPU, 2 * int(seconds) + 1), (resource.RLIMIT_FSIZE, 10 * 2**20)]
    with contextlib.suppress(OSError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits.append((resource.RLIMIT_AS, used + mebibytes * 2**20))
    for kind, limit in limits:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (limit, limit))


def _no_network() -> None:
    system = ctypes.CDLL(None)
    new_user, new_network = 0x10000000, 0x40000000
    if system.unshare(new_network):  # who is not root needs a user namespace with it
        system.unshare(new_user | new_network)


def _write_only_below(own: str) -> None:
    """Landlock (Linux 5.13 on): no right to write, make or remove anything but below `own` and in
    /dev/null.
    """
    system = ctypes.CDLL(None, use_errno=True)
    create, add, restrict = 444, 445, 446  # the same numbers on every architecture

    def call(*arguments) -> int:
        found = system.syscall(*arguments)
        if found < 0:
            raise OSError(ctypes.get_errno(), "Landlock")
        return found

    version = call(create, None, ctypes.c_size_t(0), 1)
    # write a file; remove and make anything
    writing = 1 << 1 | sum(1 << bit for bit in range(4, 13))
    writing |= (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)  # move; truncate
    rules = call(create, ctypes.byref(ctypes.c_uint64(writing)), ctypes.c_size_t(8), 0)
    for path, rights in ((own, writing), (os.devnull, writing & (1 << 1 | 1 << 14))):
        place = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
        rule = (ctypes.c_uint8 * 12).from_buffer_copy(
            rights.to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder, signed=True)
        )
        call(add, rules, 1, ctypes.byref(rule), 0)
        os.close(place)
    no_new_privileges = 38
    system.prctl(no_new_privileges, ctypes.c_ulong(1), 0, 0, 0)
    call(restrict, rules, 0)
    os.close(rules)


def _hook(own: str):
    """Return the audit hook; what it uses is bound here, where no submission reaches it by name."""
    realpath, decode, null = os.path.realpath, os.fsdecode, os.devnull
    changing, forbidden, families = CHANGING, FORBIDDEN, FAMILIES
    flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    pairs, inside = ("os.rename", "os.link", "os.symlink", "shutil.move"), own + os.sep

    def audit(event: str, arguments: tuple) -> None:
        if event in forbidden or event.startswith(families):
            raise PermissionError(f"a graded notebook may not do this ({event})")
        if event in changing or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & flags
        ):
            if (
                event != "open"
                and any(isinstance(each, int) and each >= 0 for each in arguments[-2:])
                and event in ("os.remove", "os.rmdir", "os.rename", "os.link", "os.symlink")
            ):
                raise PermissionError("a graded notebook may not use dir_fd")
            for path in arguments[: 2 if event in pairs else 1]:
                if (
                    isinstance(path, (str, bytes, os.PathLike))
                    and decode(path) not in (null, ":memory:", "")
                    and not (realpath(decode(path)) + os.sep).startswith(inside)
                ):
                    raise PermissionError(
                        f"a graded notebook may write in its own folder only, not {path!r}"
                    )

    return audit


def end(process) -> None:
    """End a process that was confined, and whatever it has started."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join(5)
