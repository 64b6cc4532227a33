"""The numbers of the environments' users, for the firewall: what they do not reach, the node's rule set says.

A file that the rule set includes holds them, one line each, so that they are there again after it is loaded anew. They are
numbers in it, because a name whose user is gone would keep the whole rule set from loading.
"""

from __future__ import annotations

import json
import os
import pwd
import re

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run

FOLDER = "/etc/nftables.d"
FILE = "pressluft-sites.nft"
HEAD = "# Written by Pressluft: users of environments do not reach the services of the node.\n"
LINE = re.compile(r"add element inet pressluft sites \{ ([0-9]+) \} # ([a-z_][a-z0-9_-]*)")
SET = ["inet", "pressluft", "sites"]


def ensure(name, uid, check_mode, tell, folder=FOLDER):
    """What has to change for the firewall to know the user, and the change unless in check mode.

    `tell` is told what the firewall could not be asked.
    """
    changes = []
    path = os.path.join(folder, FILE)
    found = read(path)
    wanted = content(found, name, uid)
    if found != wanted:
        changes.append("firewall's list")
        if not check_mode:
            write(path, wanted)
    loaded = elements()
    if loaded is None:
        tell("the firewall has no list of the environments' users, and `%s` reaches all: provision the node" % name)
    elif uid not in loaded:
        changes.append("firewall")
        if not check_mode:
            run(["nft", "add", "element"] + SET + ["{", str(uid), "}"])
    return changes


def content(found, name, uid):
    """The file with this user in it, and without those that are gone or have another number by now."""
    users = dict((match.group(2), int(match.group(1))) for match in map(LINE.fullmatch, found.splitlines()) if match)
    kept = {user: number for user, number in users.items() if number_of(user) == number}
    kept[name] = uid
    lines = ["add element inet pressluft sites { %d } # %s\n" % (kept[user], user) for user in sorted(kept)]
    return HEAD + "".join(lines)


def number_of(name):
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def write(path, text):
    # As the node's tree has it, which may come later.
    if not os.path.isdir(os.path.dirname(path)):
        os.mkdir(os.path.dirname(path), 0o750)
    temporary = path + ".new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o644)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)


def elements():
    """The numbers in the set that is loaded, or None where there is no such set."""
    try:
        done = run(["nft", "--json", "--numeric", "list", "set"] + SET, check=False)
        if done.returncode != 0:
            return None
        listed = [entry["set"] for entry in json.loads(done.stdout)["nftables"] if "set" in entry]
        return {int(number) for entry in listed for number in entry.get("elem", [])}
    except (Failed, ValueError, KeyError, TypeError):
        return None
