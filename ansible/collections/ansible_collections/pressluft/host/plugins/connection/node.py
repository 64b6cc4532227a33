"""Runs commands on the one node of the job, through Pressluft."""

from __future__ import annotations

DOCUMENTATION = r"""
name: node
author:
  - The Pressluft authors (@pressluft)
short_description: Run commands on the job's node through Pressluft
version_added: "0.1.0"
description:
  - Pressluft holds the connection to the node, and runs there what is asked for on the descriptor whose number is in the
    environment variable C(PRESSLUFT_NODE_FD).
  - It has no options. Which node that is, and how it is reached, is not for a play to say, and no variable changes it.
options: {}
extends_documentation_fragment:
  - connection_pipelining
"""

import os
import select
import shlex
import struct

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection import ConnectionBase

PIECE = 64 * 1024
ENDED = 0
OUTPUT = 1
ERRORS = 2
UNREACHABLE = 3
# `ssh` itself ends with this when it cannot reach the node.
NOT_REACHED = 255


class Connection(ConnectionBase):
    transport = "pressluft.host.node"
    has_pipelining = True
    has_tty = False

    def _connect(self):
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        code, output, errors = ask(cmd, iter([in_data] if in_data else []))
        if code == NOT_REACHED:
            said = errors.decode("utf-8", "replace")
            raise AnsibleConnectionFailure("Failed to connect to the host via ssh: %s" % said)
        return code, output, errors

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        with open(in_path, "rb") as stream:
            pieces = iter(lambda: stream.read(PIECE), b"")
            code, _, errors = ask("umask 077; cat >%s" % shlex.quote(out_path), pieces)
        if code != 0:
            raise AnsibleError("cannot write `%s` on the node: %s" % (out_path, errors.decode("utf-8", "replace")))

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        code, output, errors = ask("cat <%s" % shlex.quote(in_path), iter([]))
        if code != 0:
            raise AnsibleError("cannot read `%s` of the node: %s" % (in_path, errors.decode("utf-8", "replace")))
        with open(out_path, "wb") as stream:
            stream.write(output)

    def close(self):
        self._connected = False


def ask(command, pieces):
    """The exit code, output and errors of a command with the bytes in `pieces` as its input."""
    try:
        fd = int(os.environ["PRESSLUFT_NODE_FD"])
    except (KeyError, ValueError):
        raise AnsibleConnectionFailure("there is no connection to a node here; Pressluft makes it")
    encoded = command.encode("utf-8")
    waiting = struct.pack(">I", len(encoded)) + encoded
    # The node may answer before it has read all, so that neither side may wait for the other.
    os.set_blocking(fd, False)
    streams = {OUTPUT: [], ERRORS: []}
    received = bytearray()
    is_sent = False
    try:
        while True:
            while not waiting and not is_sent:
                waiting, is_sent = framed(pieces)
            readable, writable, _ = select.select([fd], [fd] if waiting else [], [])
            if writable:
                waiting = waiting[os.write(fd, waiting[:PIECE]) :]
            if not readable:
                continue
            part = os.read(fd, PIECE)
            if not part:
                raise AnsibleConnectionFailure("Pressluft has closed the connection to the node")
            received += part
            for tag, content in taken(received):
                if tag == UNREACHABLE:
                    said = content.decode("utf-8", "replace")
                    raise AnsibleConnectionFailure("Failed to connect to the host via ssh: %s" % said)
                if tag == ENDED:
                    return struct.unpack(">i", content)[0], b"".join(streams[OUTPUT]), b"".join(streams[ERRORS])
                streams[tag].append(content)
    except OSError as error:
        raise AnsibleConnectionFailure("Pressluft cannot be reached: %s" % error.strerror)


def framed(pieces):
    """The next pieces of input as they are sent, and whether they are the last."""
    piece = next(pieces, None)
    if piece is None:
        return struct.pack(">I", 0), True
    parts = [piece[start : start + PIECE] for start in range(0, len(piece), PIECE)]
    return b"".join(struct.pack(">I", len(part)) + part for part in parts), False


def taken(received):
    """Takes the whole pieces of an answer out of what was received."""
    while len(received) >= 5:
        tag, length = struct.unpack(">BI", received[:5])
        if len(received) < 5 + length:
            return
        content = bytes(received[5 : 5 + length])
        del received[: 5 + length]
        yield tag, content
