"""A child of this process that has given up what root may do, for looking at what strangers wrote.

It may use little memory and processor time, starts and writes nothing, and answers with lines of text, of which only
the first few KiB are read. It ends with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import resource
import select
import signal
import time

USER = "nobody"
MEMORY = 256 << 20
MOST = 64 << 10
DEATH_SIGNAL, NO_NEW_PRIVILEGES = 1, 38


class Child:
    """One that runs: its process, and the end of the pipe that it writes to."""

    def __init__(self, work, seconds):
        """`work` is called in the child with a function that tells a line; it has so many seconds of the processor."""
        # Looked up first: the child must not find out that it cannot read what it needs.
        user = pwd.getpwnam(USER)
        library = ctypes.CDLL(None, use_errno=True)
        parent = os.getpid()
        self.reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _give_up(library, user, writer, parent, seconds)
                work(lambda line: os.write(writer, line.encode("utf-8", "replace") + b"\n"))
            finally:
                os._exit(0)
        os.close(writer)

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self.reader)


def _give_up(library, user, writer, parent, seconds):
    os.closerange(3, writer)
    os.closerange(writer + 1, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") > 0 else 4096)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    os.chdir("/")
    with open("/proc/self/statm", encoding="ascii") as stream:
        used = int(stream.read().split()[0]) * resource.getpagesize()
    limits = {"AS": used + MEMORY, "CPU": seconds, "FSIZE": 0, "CORE": 0, "NPROC": 0}
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    for name, limit in limits.items():
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (limit, limit))
    if library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0 or library.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError("the kernel does not restrict processes")
    if os.getppid() != parent:
        # It died before its death could be told.
        raise OSError("nobody waits")


def collect(children, deadline, listener=None):
    """The whole lines that each child told before the deadline, at most `MOST` bytes of each; all of them end.

    Stops when nobody reads from `listener` any more.
    """
    told = {child.reader: b"" for child in children}
    poll = select.poll()
    for reader in told:
        poll.register(reader, select.POLLIN)
    if listener is not None:
        poll.register(listener, 0)
    open_ones = set(told)
    try:
        while open_ones and time.monotonic() < deadline:
            for descriptor, events in poll.poll(max(1, int((deadline - time.monotonic()) * 1000))):
                if descriptor == listener:
                    return [[] for _ in children]
                data = os.read(descriptor, 4096) if len(told[descriptor]) < MOST else b""
                told[descriptor] += data
                if not data:
                    open_ones.discard(descriptor)
                    poll.unregister(descriptor)
    finally:
        for child in children:
            child.end()
    return [told[child.reader].decode("utf-8", "replace").split("\n")[:-1] for child in children]
