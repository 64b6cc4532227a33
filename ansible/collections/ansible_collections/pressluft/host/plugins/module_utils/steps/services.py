"""Units that are enabled and running.

A timer that is masked is left so, with a warning. A unit that does not exist yet counts as stopped.
"""

from __future__ import annotations

from ansible_collections.pressluft.host.plugins.module_utils.process import run

ON = ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "transient")


def states(names):
    """By unit: its file's state and whether it runs."""
    done = run(["systemctl", "show", "--property=Id,UnitFileState,ActiveState", "--"] + names, check=False)
    found = []
    for block in done.stdout.strip().split("\n\n"):
        found.append(dict(line.partition("=")[::2] for line in block.splitlines()))
    return dict(zip(names, found))


def carry_out(options, node):
    names = list(options["name"])
    found = states(names)
    for name in [name for name in names if name.endswith(".timer")]:
        if found.get(name, {}).get("UnitFileState") == "masked":
            # Somebody's decision; without the service a node does its work all the same.
            node.warn("`%s` is masked and left so" % name)
            names.remove(name)
    disabled = [name for name in names if found.get(name, {}).get("UnitFileState") not in ON]
    stopped = [name for name in names if found.get(name, {}).get("ActiveState") not in ("active", "reloading")]
    if not node.check_mode:
        if disabled:
            run(["systemctl", "enable", "--"] + disabled)
        if stopped:
            run(["systemctl", "reset-failed", "--"] + stopped, check=False)
            run(["systemctl", "start", "--"] + stopped)
    result = {"changed": bool(disabled or stopped), "enabled": disabled, "started": stopped}
    if node.want_diff and result["changed"]:
        result["diff"] = {
            "before": "",
            "after": "".join("enable %s\n" % unit for unit in disabled) + "".join("start %s\n" % unit for unit in stopped),
        }
    return result
