"""Running programs of the node, without a shell of their own.

While the node is locked, every program has a guard: a shell that does nothing but hold the lock until the program has
ended. A program never gets the lock itself. What it leaves running would hold it for ever, and what runs as a site's
user could let it go.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

TAIL = 4000
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


def run(argv, stdin=None, timeout=300, check=True, env=None, cwd="/", label=None):
    """The completed process, its output as text.

    Raises `Failed` when it cannot be started, takes too long, or (with `check`) returns other than 0. What went in
    through `stdin` is never part of a message; `label` stands for a command that says little itself.
    """
    label = label or " ".join(argv[:8])
    environment = dict({"PATH": PATH, "LC_ALL": "C.UTF-8"}, **(env or {}))
    pipe = subprocess.PIPE
    try:
        process = start(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8", errors="surrogateescape", env=environment, cwd=cwd
        )
    except OSError as error:
        raise Failed("`%s` cannot be run: %s" % (label, error.strerror or error))
    with process:
        try:
            output, error = process.communicate("" if stdin is None else stdin, timeout)
        except subprocess.TimeoutExpired:
            end(process)
            raise Failed("`%s` did not end within %d s" % (label, timeout))
        except BaseException:
            end(process)
            raise
    done = subprocess.CompletedProcess(argv, process.returncode, output, error)
    if check and done.returncode != 0:
        raise Failed("`%s` failed with rc %d: %s" % (label, done.returncode, tail(done)))
    return done


def end(process):
    """Ends a program and what it has started."""
    for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def tail(done):
    """The end of what a program printed, errors first."""
    text = (done.stderr.strip() or done.stdout.strip())[-TAIL:]
    return text.encode("utf-8", "replace").decode("utf-8")


def as_user(user, home, argv):
    """The command as run by an environment's own user, in its own session and without root's groups."""
    return ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--no-new-privs", "--"] + [
        "/usr/bin/env",
        "-i",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "LC_ALL=C.UTF-8",
        "HOME=%s" % os.path.join(home, "tmp"),
        "TMPDIR=%s" % os.path.join(home, "tmp"),
        "WP_CLI_CACHE_DIR=%s" % os.path.join(home, "tmp/.wp-cli"),
        "PAGER=cat",
    ] + argv
