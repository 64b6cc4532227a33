#!/usr/bin/python
"""Install Debian packages."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: packages
short_description: Install Debian packages in one remote execution
version_added: "0.1.0"
description:
  - Installs what is missing. Where nothing is missing, it only reads dpkg's status.
  - The package lists are fetched when something has to be installed and they are older than a day, or when there are
    none, whatever the age of their directory says.
  - Needs neither the Python bindings of apt nor lists to predict its changes.
options:
  name:
    description: The packages.
    type: list
    elements: str
    required: true
  hold:
    description: Packages that no update may touch. Holds on other packages stay as they are.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: Predicts what would be installed.
author:
  - The Pressluft authors (@pressluft)
"""

EXAMPLES = r"""
- name: Install the web server
  pressluft.host.packages:
    name: [nginx]
"""

RETURN = r"""
installed:
  description: The packages that were missing.
  returned: always
  type: list
  elements: str
held:
  description: The packages that were not held yet.
  returned: always
  type: list
  elements: str
"""

import glob
import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run

LISTS = "/var/lib/apt/lists"
DAY = 86400
APT = [
    "apt-get",
    "--yes",
    "--quiet",
    "--no-install-recommends",
    "-o=DPkg::Lock::Timeout=300",
    "-o=Dpkg::Options::=--force-confdef",
    "-o=Dpkg::Options::=--force-confold",
    "-o=APT::Get::Assume-Yes=true",
]
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "a", "APT_LISTCHANGES_FRONTEND": "none"}


def statuses(names):
    """By package: its selection and whether it is installed."""
    form = "${binary:Package}\t${Package}\t${db:Status-Want}\t${db:Status-Status}\n"
    done = run(["dpkg-query", "--show", "--showformat=" + form] + names, check=False)
    found = {}
    for line in done.stdout.splitlines():
        _, name, want, status = line.split("\t")
        if status == "installed":
            found[name] = want
    return found


def lists_are_old():
    files = glob.glob(os.path.join(LISTS, "*_Packages*"))
    return not files or max(os.stat(LISTS).st_mtime, max(os.stat(f).st_mtime for f in files)) < time.time() - DAY


def install(missing):
    if lists_are_old():
        run(["apt-get", "--quiet", "-o=DPkg::Lock::Timeout=300", "update"], timeout=600, env=ENVIRONMENT)
    done = run(APT + ["install", "--"] + missing, timeout=1500, check=False, env=ENVIRONMENT)
    if done.returncode != 0:
        # The lists may be younger than a day and older than the mirror.
        run(["apt-get", "--quiet", "-o=DPkg::Lock::Timeout=300", "update"], timeout=600, env=ENVIRONMENT)
        run(APT + ["install", "--"] + missing, timeout=1500, env=ENVIRONMENT)


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str", "required": True},
            "hold": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    names, hold = module.params["name"], module.params["hold"]
    try:
        found = statuses(names + hold)
        missing = [name for name in names if name not in found]
        if missing and not module.check_mode:
            install(missing)
            found = statuses(names + hold)
            absent = [name for name in missing if name not in found]
            if absent:
                raise Failed("apt-get left packages out: %s" % ", ".join(absent))
        unheld = [name for name in hold if found.get(name, "hold") != "hold"]
        if unheld and not module.check_mode:
            run(["apt-mark", "hold", "--"] + unheld)
    except Failed as error:
        module.fail_json(msg=str(error))
    result = {"changed": bool(missing or unheld), "installed": missing, "held": unheld}
    if module._diff:
        result["diff"] = {
            "before": "",
            "after": "".join("install %s\n" % name for name in missing) + "".join("hold %s\n" % name for name in unheld),
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
