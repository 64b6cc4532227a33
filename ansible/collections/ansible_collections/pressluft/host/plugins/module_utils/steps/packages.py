"""Debian packages.

Installs what is missing. Where nothing is missing, it only reads dpkg's status. The package lists are fetched when
something has to be installed and they are older than a day, or when there are none, whatever the age of their directory
says. What is held back is remembered, so that it is let go when nobody asks for it any more; what others hold stays.
"""

from __future__ import annotations

import os
import re
import time

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run, tail

LISTS = "/var/lib/apt/lists"
HELD = "/var/lib/pressluft/held"
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
# Locks that `apt-get` and `apt-mark` do not wait for, whatever `DPkg::Lock::Timeout` says: those of the lists and of the
# archives, which the system's own timers take, and dpkg's own where only a selection changes.
BUSY = re.compile(
    r"Could not get lock \S+/(?:lists|archives)/lock\S*(?: It is held by process (\d+ \([^)]*\)))?"
    r"|dpkg database lock was locked by another process with pid (\d+)|dpkg database is locked by another process"
)
LOCK_SECONDS = 300
LOOK_SECONDS = 3
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


def patiently(argv, warn, timeout=600):
    """The completed program, once whoever has one of its locks has ended; in bounds."""
    begin, told = time.monotonic(), False
    while True:
        done = run(argv, timeout=timeout, check=False, env=ENVIRONMENT)
        busy = BUSY.search(done.stderr) if done.returncode != 0 else None
        if busy is None or time.monotonic() - begin > LOCK_SECONDS:
            return done, int(time.monotonic() - begin)
        if not told:
            holder = busy.group(1) or busy.group(2) or "that is not named"
            warn("`%s` waits for process %s" % (" ".join(argv[:2]), holder))
            told = True
        time.sleep(LOOK_SECONDS)


def required(argv, warn, timeout=600):
    """The same, and it has to succeed."""
    done, waited = patiently(argv, warn, timeout)
    if done.returncode != 0:
        raise Failed(
            "`%s` failed with rc %d after %d s: %s" % (" ".join(argv[:8]), done.returncode, waited, tail(done))
        )


def update(warn):
    """Fetches the lists."""
    required(["apt-get", "--quiet", "update"], warn)


def remembered():
    """What we hold back."""
    try:
        with open(HELD, encoding="utf-8") as stream:
            return stream.read().split()
    except FileNotFoundError:
        return []


def remember(names):
    os.makedirs(os.path.dirname(HELD), mode=0o700, exist_ok=True)
    with open(os.open(HELD + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write("".join("%s\n" % name for name in names))
    os.rename(HELD + ".new", HELD)


def install(missing, warn):
    if lists_are_old():
        update(warn)
    done, _ = patiently(APT + ["install", "--"] + missing, warn, timeout=1500)
    if done.returncode != 0:
        # The lists may be younger than a day and older than the mirror.
        update(warn)
        required(APT + ["install", "--"] + missing, warn, timeout=1500)


def carry_out(options, node):
    names, hold = options["name"], options["hold"]
    found = statuses()
    missing = [name for name in names if name not in found]
    if missing and not node.check_mode:
        install(missing, node.warn)
        found = statuses()
        absent = [name for name in missing if name not in found]
        if absent:
            raise Failed("apt-get left packages out: %s" % ", ".join(absent))
    unheld = [name for name in hold if found.get(name, "hold") != "hold"]
    ours = remembered()
    released = [name for name in ours if name not in hold and found.get(name) == "hold"]
    if not node.check_mode:
        # Remembered first: what is held and not known would stay so.
        now_ours = sorted({name for name in ours if name in hold} | set(unheld))
        if unheld or now_ours != ours:
            remember(sorted(set(now_ours) | set(released)))
        if unheld:
            required(["apt-mark", "hold", "--"] + unheld, node.warn)
        if released:
            required(["apt-mark", "unhold", "--"] + released, node.warn)
            remember(now_ours)
    changed = bool(missing or unheld or released)
    result = {"changed": changed, "installed": missing, "held": unheld, "released": released}
    if node.want_diff and result["changed"]:
        result["diff"] = {
            "before": "",
            "after": "".join("install %s\n" % name for name in missing) + "".join("hold %s\n" % name for name in unheld)
            + "".join("unhold %s\n" % name for name in released),
        }
    return result
