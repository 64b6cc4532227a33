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

from ansible_collections.pressluft.host.plugins.module_utils.program import MARK, PACKAGE

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


def execute(action, request, task_vars):
    """What the node answers to a request; `action` is the action plugin that asks."""
    interpreter = task_vars.get("ansible_python_interpreter") or "/usr/bin/python3"
    words = [action._compute_environment_string(), command(str(interpreter))]
    done = action._low_level_execute_command(" ".join(word for word in words if word), in_data=packed(request))
    answer = parsed(done["stdout"])
    if answer is not None:
        return answer
    return {
        "failed": True,
        "changed": False,
        "rc": done["rc"],
        "module_stdout": done["stdout"],
        "module_stderr": done.get("stderr", ""),
        "msg": "the node's Python interpreter gave no answer; what it said is below",
    }


def parsed(output):
    """The answer in what a node printed, as plain data without the keys that mean something to Ansible, or None."""
    try:
        answer = json.loads(output.rpartition(MARK)[2])
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return None
    return {key: value for key, value in answer.items() if not key.startswith(("_ansible", "ansible_"))}


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
