"""Files of the control plane on their way to a node.

They go through the connection as what a command reads, as the user that the task becomes, to a name that we choose. The
ways that Ansible has would ask the node for the name, and write as the user who logs in.
"""

from __future__ import annotations

import os
import shlex

from ansible_collections.pressluft.host.plugins.plugin_utils.answers import end_of
from ansible_collections.pressluft.host.plugins.plugin_utils.remote import exchange

CHUNK = 8 << 20
# What an attempt left that was cut off goes when it is a day old.
BEGIN = (
    """umask 077 && mkdir -p -- "$0" && find "$0" -maxdepth 1 -name 'upload-*' -mmin +1440 -delete """
    """&& set -C && read -r _ && cat >"$1\""""
)
GO_ON = 'test -f "$1" && read -r _ && cat >>"$1"'
REMOVE = 'rm -f -- "$1"'


class Unplaced(Exception):
    """A file did not get to the node; the message says why."""


def place(connection, path, directory):
    """Copies the file at `path` into the directory on the node; the path that it has there.

    Raises `Unplaced`.
    """
    target = os.path.join(directory, "upload-%s" % os.urandom(16).hex())
    script = BEGIN
    for chunk in _chunks(path):
        code, errors = _run(connection, script, target, chunk)
        if code != 0:
            reason = end_of(errors).strip() or "rc %d" % code
            raise Unplaced("`%s` cannot be written on the node: %s" % (target, reason))
        script = GO_ON
    return target


def _chunks(path):
    """The content of a file in parts; one, of nothing, of an empty one."""
    try:
        with open(path, "rb") as stream:
            chunk = stream.read(CHUNK)
            yield chunk
            while chunk := stream.read(CHUNK):
                yield chunk
    except OSError as error:
        raise Unplaced("cannot read `%s`: %s" % (path, error.strerror))


def remove(connection, target):
    """Removes what was placed. What cannot be removed goes with a later upload."""
    _run(connection, REMOVE, target, b"")


def _run(connection, script, target, data):
    words = ("/bin/sh", "-c", script, os.path.dirname(target), target)
    # A command that nothing is sent to may get a terminal to read from; the first line is not part of the file.
    code, _, errors = exchange(connection, " ".join(shlex.quote(word) for word in words), b"\n" + data)
    return code, errors
