"""Debian packages.

Installs what is missing. Where nothing is missing, it only reads dpkg's status. The package lists are fetched when
something has to be installed and they are older than a day, or when there are none, whatever the age of their directory
says.
"""

from __future__ import annotations

import os
import re
import time

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run

LISTS = "/var/lib/apt/lists"
DAY = 86400
STATUS = "/var/lib/dpkg/status"
# What dpkg has not written into its status yet.
UPDATES = "/var/lib/dpkg/updates"
ENTRY = re.compile(rb"^Package: (\S+)\n(?:(?:Essential|Protected): \S+\n)*Status: (\S+) \S+ installed$", re.M)
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


def statuses():
    """By installed package: whether it is to be installed, held, removed."""
    if os.path.isdir(UPDATES) and os.listdir(UPDATES):
        done = run(["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Want} ${db:Status-Status}\n"])
        entries = [line.split(" ") for line in done.stdout.splitlines()]
        return {name: want for name, want, status in entries if status == "installed"}
    with open(STATUS, "rb") as stream:
        return {name.decode(): want.decode() for name, want in ENTRY.findall(stream.read())}


def lists_are_old():
    files = [entry.stat().st_mtime for entry in os.scandir(LISTS) if "_Packages" in entry.name]
    return not files or max(os.stat(LISTS).st_mtime, *files) < time.time() - DAY


def install(missing):
    if lists_are_old():
        run(["apt-get", "--quiet", "-o=DPkg::Lock::Timeout=300", "update"], timeout=600, env=ENVIRONMENT)
    done = run(APT + ["install", "--"] + missing, timeout=1500, check=False, env=ENVIRONMENT)
    if done.returncode != 0:
        # The lists may be younger than a day and older than the mirror.
        run(["apt-get", "--quiet", "-o=DPkg::Lock::Timeout=300", "update"], timeout=600, env=ENVIRONMENT)
        run(APT + ["install", "--"] + missing, timeout=1500, env=ENVIRONMENT)


def carry_out(options, node):
    names, hold = options["name"], options["hold"]
    found = statuses()
    missing = [name for name in names if name not in found]
    if missing and not node.check_mode:
        install(missing)
        found = statuses()
        absent = [name for name in missing if name not in found]
        if absent:
            raise Failed("apt-get left packages out: %s" % ", ".join(absent))
    unheld = [name for name in hold if found.get(name, "hold") != "hold"]
    if unheld and not node.check_mode:
        run(["apt-mark", "hold", "--"] + unheld)
    result = {"changed": bool(missing or unheld), "installed": missing, "held": unheld}
    if node.want_diff and result["changed"]:
        result["diff"] = {
            "before": "",
            "after": "".join("install %s\n" % name for name in missing) + "".join("hold %s\n" % name for name in unheld),
        }
    return result
