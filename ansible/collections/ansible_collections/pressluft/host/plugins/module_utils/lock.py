"""One run at a time for each environment.

A control plane that dies leaves the program that it started on the node running; the next run has to wait for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed


@contextlib.contextmanager
def locked(state_dir, timeout=900):
    """Holds the environment's lock. It lies where only root can reach it: others could hold it for ever."""
    path = os.path.join(state_dir, "lock")
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "w", encoding="utf-8") as stream:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Failed("another run has been working on this environment for %d s" % timeout)
                time.sleep(0.2)
        yield
