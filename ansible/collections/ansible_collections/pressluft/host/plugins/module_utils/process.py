"""Running programs of the node, without a shell."""

from __future__ import annotations

import os
import subprocess

TAIL = 4000


class Failed(Exception):
    """A program did not do what it was asked; the message says which one and why."""


def run(argv, stdin=None, timeout=300, check=True, env=None, cwd="/", label=None):
    """The completed process, its output as text.

    Raises `Failed` when it cannot be started, takes too long, or (with `check`) returns other than 0. What went in
    through `stdin` is never part of a message; `label` stands for a command that says little itself.
    """
    label = label or " ".join(argv[:8])
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    environment.update(env or {})
    try:
        done = subprocess.run(
            argv,
            input="" if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
            env=environment,
            cwd=cwd,
            check=False,
        )
    except OSError as error:
        raise Failed("`%s` cannot be run: %s" % (label, error.strerror))
    except subprocess.TimeoutExpired:
        raise Failed("`%s` did not end within %d s" % (label, timeout))
    if check and done.returncode != 0:
        raise Failed("`%s` failed with rc %d: %s" % (label, done.returncode, tail(done)))
    return done


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
