"""Running our program on the node: one remote execution, nothing left behind, no start-up but Python's own.

Ansible would pack a module together with its libraries, which take both sides longer than most of what we do. So the
texts of `module_utils` go to the node's Python as they are, over the connection that Ansible has, as the user that it
becomes. What a step says it brings about is the same either way.
"""

from __future__ import annotations

import json
import os
import shlex
import zlib
from functools import cache

from ansible_collections.pressluft.host.plugins.module_utils.program import PACKAGE
from ansible_collections.pressluft.host.plugins.plugin_utils.answers import refusal, silence
from ansible_collections.pressluft.host.plugins.plugin_utils.shapes import Refused

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "module_utils")


@cache
def sources():
    """The texts of `module_utils` by the names of their modules."""
    found = {}
    for folder, _, files in os.walk(FOLDER):
        for file in files:
            path = os.path.join(folder, file)
            name = os.path.relpath(path, FOLDER)[: -len(".py")].replace(os.sep, ".")
            if file.endswith(".py") and file not in ("__init__.py", "loader.py", "event_line.py"):
                with open(path, encoding="utf-8") as stream:
                    found[PACKAGE + name] = stream.read()
    return found


@cache
def loader():
    with open(os.path.join(FOLDER, "loader.py"), encoding="utf-8") as stream:
        return stream.read()


def command(interpreter):
    """Python without the paths and settings of the machine, so that nothing of it stands in for what we import."""
    return "%s -I -S -c %s" % (shlex.quote(interpreter), shlex.quote(loader()))


def packed(request):
    return zlib.compress(json.dumps(dict(request, sources=sources())).encode("utf-8"), 1)


def execute(action, request, task_vars, read):
    """What the node answers to a request, as fields of an allow-list.

    `action` is the action plugin that asks, `read` the function of `answers` for what the program may answer.
    """
    interpreter = task_vars.get("ansible_python_interpreter") or "/usr/bin/python3"
    words = [action._compute_environment_string(), command(str(interpreter))]
    code, output, errors = exchange(action._connection, " ".join(word for word in words if word), packed(request))
    try:
        answer = read(output)
    except Refused as reason:
        return refusal(request["program"], reason)
    return silence(code, output, errors) if answer is None else answer


def exchange(connection, command, data=b""):
    """The return code of a command on the node, and the bytes that it printed on each of its streams.

    It runs as the user that the task becomes. Ansible's own way to do this splits all that a node prints into lines,
    which takes many times as much memory, and takes them for text.
    """
    shell = connection._shell
    if connection.become:
        command = connection.become.build_become_command(command, shell)
    # As Ansible does it: without the second command, `ssh` may lose the end of what the first one printed.
    command = "/bin/sh -c %s" % shlex.quote(shell.append_command(command, "sleep 0"))
    code, output, errors = connection.exec_command(command, in_data=data, sudoable=True)
    return code or 0, _bytes(output), _bytes(errors)


def _bytes(output):
    return output.encode("utf-8", "replace") if isinstance(output, str) else bytes(output)


def plain(value):
    """A value of a variable as JSON has it: without what Ansible attaches to it."""
    if isinstance(value, dict):
        return {str(key): plain(value[key]) for key in value}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return str.__str__(value) if isinstance(value, str) else str(value)
