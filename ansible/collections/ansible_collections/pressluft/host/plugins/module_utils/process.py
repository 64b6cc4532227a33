"""Running programs of the node, without a shell of their own.

While the node is locked, every program has a guard: a shell that does nothing but hold the lock until the program has
ended. A program never gets the lock itself. What it leaves running would hold it for ever, and what runs as a site's
user could let it go.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time

TAIL = 4000
# What a program of the node may print on each of its streams; nothing that we ask for comes near it.
MOST = 32 << 20
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Failed(Exception):
    """A step did not do what it was asked; the message says why, `details` become keys of its result."""

    def __init__(self, message, **details):
        super().__init__(message)
        self.details = details


class Guard:
    """The descriptor of the lock that this process holds, or None."""

    fd = None


def guarded(argv, path=PATH):
    """The command and the descriptors to start it with.

    Raises `FileNotFoundError` when there is no such program, as starting it without a guard would.
    """
    if Guard.fd is None:
        return argv, ()
    if not _exists(argv[0], path):
        raise FileNotFoundError(2, "No such file or directory", argv[0])
    if Guard.fd > 9:
        raise OSError("the descriptor of the lock is too high for the shell")
    return ["/bin/sh", "-c", '"$@" %d>&-; exit $?' % Guard.fd, "sh"] + list(argv), (Guard.fd,)


def _exists(program, path):
    places = [program] if "/" in program else [os.path.join(folder, program) for folder in path.split(":")]
    return any(os.access(place, os.X_OK) and os.path.isfile(place) for place in places)


def start(argv, **more):
    """A `Popen` of the command, with its guard and in a session of its own."""
    environment = more.setdefault("env", {"PATH": PATH, "LC_ALL": "C.UTF-8"})
    argv, fds = guarded(argv, environment.get("PATH", PATH))
    return subprocess.Popen(argv, pass_fds=fds, start_new_session=True, **more)


class TooMuch(Exception):
    """A program printed more than it may."""


def run(argv, stdin=None, timeout=300, check=True, env=None, cwd="/", label=None):
    """The completed process, its output as text.

    Raises `Failed` when it cannot be started, takes too long, or (with `check`) returns other than 0. What went in
    through `stdin` is never part of a message; `label` stands for a command that says little itself.
    """
    label = label or " ".join(argv[:8])
    environment = dict({"PATH": PATH, "LC_ALL": "C.UTF-8"}, **(env or {}))
    pipe = subprocess.PIPE
    try:
        process = start(argv, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, cwd=cwd)
    except OSError as error:
        raise Failed("`%s` cannot be run: %s" % (label, error.strerror or error))
    return finish(process, stdin, timeout, check, label, MOST, end)


def finish(process, stdin, timeout, check, label, most, end):
    """The completed process of one that was started with three pipes; `end` ends it and what it has started."""
    with process:
        try:
            found = exchange([process], (stdin or "").encode("utf-8", "surrogateescape"), timeout, most)
        except subprocess.TimeoutExpired:
            end(process)
            raise Failed("`%s` did not end within %d s" % (label, timeout))
        except TooMuch:
            end(process)
            raise Failed("`%s` printed more than %d KiB, and was ended" % (label, most >> 10))
        except BaseException:
            end(process)
            raise
    texts = [found[stream].decode("utf-8", "surrogateescape") for stream in (process.stdout, process.stderr)]
    done = subprocess.CompletedProcess(process.args, process.returncode, *texts)
    if check and done.returncode != 0:
        raise Failed("`%s` failed with rc %d: %s" % (label, done.returncode, tail(done)))
    return done


def exchange(processes, given, timeout, most):
    """What programs print on their streams, at most `most` bytes on each, while the first is given its input.

    Raises `TooMuch` and `subprocess.TimeoutExpired`; the programs then still run.
    """
    deadline = time.monotonic() + timeout
    streams = [stream for process in processes for stream in (process.stdout, process.stderr) if stream is not None]
    found = {stream: bytearray() for stream in streams}
    entrance, left = processes[0].stdin, memoryview(given)
    with selectors.DefaultSelector() as selector:
        for stream in found:
            selector.register(stream, selectors.EVENT_READ)
        if left:
            os.set_blocking(entrance.fileno(), False)
            selector.register(entrance, selectors.EVENT_WRITE)
        elif entrance is not None:
            entrance.close()
        while selector.get_map():
            for key, _ in selector.select(_remaining(processes, deadline, timeout)):
                if key.fileobj is entrance:
                    left = _given(entrance, left)
                    if not left:
                        selector.unregister(entrance)
                        entrance.close()
                    continue
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                    continue
                found[key.fileobj] += data
                if len(found[key.fileobj]) > most:
                    raise TooMuch
    for process in processes:
        process.wait(_remaining(processes, deadline, timeout))
    return {stream: bytes(data) for stream, data in found.items()}


def _given(stream, left):
    """What is left to be given to a program; nothing when it does not want more."""
    try:
        return left[os.write(stream.fileno(), left[: 1 << 16]) :]
    except BlockingIOError:
        return left
    except BrokenPipeError:
        return left[:0]


def _remaining(processes, deadline, timeout):
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise subprocess.TimeoutExpired(processes[0].args, timeout)
    return remaining


def end(process, gently=True):
    """Ends a program and what it has started, `gently` with some time to end by itself."""
    for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, None)) if gently else ((signal.SIGKILL, None),):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def tail(done):
    """The end of what a program printed, errors first."""
    text = (done.stderr.strip() or done.stdout.strip())[-TAIL:]
    return text.encode("utf-8", "replace").decode("utf-8")
