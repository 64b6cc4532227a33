#!/usr/bin/python
"""Have services enabled and running."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: services
short_description: Have units enabled and running in one remote execution
version_added: "0.1.0"
description:
  - Enables and starts the units that are not.
  - A timer that is masked is left so, with a warning.
options:
  name:
    description: The units, with their suffix.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
    description: Predicts what would be enabled and started; a unit that does not exist yet counts as stopped.
author:
  - The Pressluft authors (@pressluft)
"""

EXAMPLES = r"""
- name: Have the web server run
  pressluft.host.services:
    name: [nginx.service]
"""

RETURN = r"""
enabled:
  description: The units that were not enabled.
  returned: always
  type: list
  elements: str
started:
  description: The units that were not running.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run

ON = ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "transient")


def states(names):
    """By unit: its file's state and whether it runs."""
    done = run(["systemctl", "show", "--property=Id,UnitFileState,ActiveState", "--"] + names, check=False)
    found = []
    for block in done.stdout.strip().split("\n\n"):
        found.append(dict(line.partition("=")[::2] for line in block.splitlines()))
    return dict(zip(names, found))


def main():
    module = AnsibleModule(
        argument_spec={"name": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    names = module.params["name"]
    try:
        found = states(names)
        for name in [name for name in names if name.endswith(".timer")]:
            if found.get(name, {}).get("UnitFileState") == "masked":
                # Somebody's decision; without the service a node does its work all the same.
                module.warn("`%s` is masked and left so" % name)
                names.remove(name)
        disabled = [name for name in names if found.get(name, {}).get("UnitFileState") not in ON]
        stopped = [name for name in names if found.get(name, {}).get("ActiveState") not in ("active", "reloading")]
        if not module.check_mode:
            if disabled:
                run(["systemctl", "enable", "--"] + disabled)
            if stopped:
                run(["systemctl", "reset-failed", "--"] + stopped, check=False)
                run(["systemctl", "start", "--"] + stopped)
    except Failed as error:
        module.fail_json(msg=str(error))
    result = {"changed": bool(disabled or stopped), "enabled": disabled, "started": stopped}
    if module._diff:
        result["diff"] = {
            "before": "",
            "after": "".join("enable %s\n" % unit for unit in disabled) + "".join("start %s\n" % unit for unit in stopped),
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
