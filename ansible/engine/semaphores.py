"""Semaphores without a name.

Those of Python's `multiprocessing` are files for a moment, in a directory of the machine that a confined play does not
reach. These are counters of the kernel, which a child has because it is one.
"""

import os
import select
import time
from multiprocessing.context import BaseContext


class Semaphore:
    """As much of a semaphore, or a lock, as queues between two processes use."""

    def __init__(self, value=1):
        self.fd = os.eventfd(value, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def acquire(self, block=True, timeout=None):
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                os.eventfd_read(self.fd)
                return True
            except BlockingIOError:
                left = None if deadline is None else max(0, deadline - time.monotonic())
                if not block or left == 0:
                    return False
                select.select([self.fd], [], [], left)

    def release(self):
        os.eventfd_write(self.fd, 1)

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *_):
        self.release()

    def __del__(self):
        os.close(self.fd)


def install():
    """Has queues use these from now on."""
    BaseContext.Lock = lambda _: Semaphore()
    BaseContext.Semaphore = BaseContext.BoundedSemaphore = lambda _, value=1: Semaphore(value)
