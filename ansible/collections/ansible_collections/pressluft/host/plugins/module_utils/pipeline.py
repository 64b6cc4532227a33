"""Two programs of tenants, of which one writes into the other.

What flows is moved along by the kernel and counted here, so that it has an end: when it is more than it may be, when
its time is over, and when nothing or next to nothing moves any more, as where somebody stops a program of its own, and
lets it go on for a moment now and then.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time

from ansible_collections.pressluft.host.plugins.module_utils import tenant
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed

CHUNK = 1 << 20
# How long a pipeline may be slower than it has to be on average; programs start in it, and wait for locks.
GRACE = 60
# Of what each of the two says.
KEPT = 4096


class Limits:
    """How long a pipeline may take and how long it may stand still, in seconds, and how many bytes may flow.

    It also moves `least` bytes a second, on average since its beginning. What is honest and slow, as a disk full of small
    files, is much faster; and what has moved much may then stand still for as long as an index takes.
    """

    def __init__(self, seconds, still, most, least=0):
        self.seconds = seconds
        self.still = still
        self.most = most
        self.least = least


def run(first, second, limits, what, given=("", "")):
    """The return codes of both programs and the ends of what they complained about.

    `first` and `second` start one each, with the streams that they are handed. `given` has a line for each that it
    reads before anything else. Raises `Failed` when a limit is reached; both are ended then.
    """
    pipe = subprocess.PIPE
    running = []
    try:
        running.append(first(stdin=pipe, stdout=pipe, stderr=pipe))
        running.append(second(stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe))
        for process, line in zip(running, given):
            # What has ended already says itself why.
            with contextlib.suppress(BrokenPipeError):
                os.write(process.stdin.fileno(), line.encode("ascii") + b"\n" if line else b"")
        running[0].stdin.close()
        said = _Flow(*running, limits, what).whole()
        for process in running:
            process.wait(limits.still)
    except subprocess.TimeoutExpired:
        raise Failed("%s did not end when all of it was there" % what)
    finally:
        for process in running:
            if process.returncode is None:
                tenant.end(process)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
    return [(process.returncode, text) for process, text in zip(running, said)]


class _Flow:
    """What moves from one program to another, and what both say meanwhile."""

    def __init__(self, source, target, limits, what):
        self.taken, self.given = source.stdout, target.stdin
        self.said = {source.stderr: b"", target.stderr: b""}
        self.limits = limits
        self.what = what
        self.moved = 0
        self.begun_at = self.moved_at = time.monotonic()
        for stream in (self.taken, self.given):
            os.set_blocking(stream.fileno(), False)

    def whole(self):
        """Moves everything until both have closed their streams; what they said."""
        deadline = self.begun_at + self.limits.seconds
        with selectors.DefaultSelector() as selector:
            for stream in self.said:
                selector.register(stream, selectors.EVENT_READ)
            # Only one of the two ends is waited for at a time: the one that the last move stood still for.
            selector.register(self.taken, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select(self._patience(deadline)):
                    if key.fileobj in self.said:
                        self._listen(selector, key.fileobj)
                    else:
                        self._move(selector, key.fileobj)
        return [text.decode("utf-8", "replace") for text in self.said.values()]

    def _patience(self, deadline):
        """For how many seconds there is something to wait for. What the two say is no progress."""
        now = time.monotonic()
        if now >= deadline:
            raise Failed("%s took longer than %d s, and was ended" % (self.what, self.limits.seconds))
        if now >= self.moved_at + self.limits.still:
            raise Failed("%s stood still for %d s, and was ended" % (self.what, self.limits.still))
        ends = [deadline, self.moved_at + self.limits.still]
        if self.limits.least:
            # Each byte is worth some time.
            ends.append(self.begun_at + GRACE + self.moved / self.limits.least)
            if now >= ends[-1]:
                raise Failed("%s moved less than %d KiB/s, and was ended" % (self.what, self.limits.least >> 10))
        return min(ends) - now

    def _listen(self, selector, stream):
        data = os.read(stream.fileno(), 65536)
        self.said[stream] = (self.said[stream] + data)[-KEPT:]
        if not data:
            selector.unregister(stream)

    def _move(self, selector, waited_for):
        try:
            moved = os.splice(self.taken.fileno(), self.given.fileno(), CHUNK, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            # What was waited for is ready, so it is the other end that is not.
            selector.unregister(waited_for)
            if waited_for is self.taken:
                selector.register(self.given, selectors.EVENT_WRITE)
            else:
                selector.register(self.taken, selectors.EVENT_READ)
            return
        except BrokenPipeError:
            moved = 0
        self.moved += moved
        self.moved_at = time.monotonic()
        if self.moved > self.limits.most:
            raise Failed("%s is more than %d MiB, and was ended" % (self.what, self.limits.most >> 20))
        if moved == 0:
            selector.unregister(waited_for)
            # The source sees the same end, should it still write.
            self.taken.close()
            with contextlib.suppress(BrokenPipeError):
                self.given.close()
