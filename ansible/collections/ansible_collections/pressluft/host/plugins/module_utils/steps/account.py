"""The Linux user of an environment: a system user with a group of its own, that nobody logs in as.

Members of the group may read what belongs to it; the web server is one. The user itself is in no other group, has no
password, and is known to the firewall. Where it had more than that, somebody gave it: a job takes it away, and a look
says so apart, because what was done with it in the meantime is for somebody to find out.
"""

from __future__ import annotations

import grp
import pwd

from ansible_collections.pressluft.host.plugins.module_utils import site_users
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run

SHELL = "/usr/sbin/nologin"
SHADOW = "/etc/shadow"


def group(name):
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def user(name):
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def other_groups(name):
    """The groups that somebody put the user into, without its own."""
    return sorted(entry.gr_name for entry in grp.getgrall() if name in entry.gr_mem and entry.gr_name != name)


def has_password(name):
    """Whether the user could log in with a password, or without one."""
    with open(SHADOW, encoding="utf-8", errors="replace") as stream:
        entries = [line.split(":") for line in stream if line.startswith(name + ":")]
    return any(len(entry) > 1 and entry[1][:1] not in ("!", "*") for entry in entries)


def plan(name, home, members):
    """What has to change, as descriptions and commands, and what of it is more than the user should have."""
    steps, wider = [], []
    found_group, found = group(name), user(name)
    if found_group is None:
        steps.append(("group", ["groupadd", "--system", name]))
    if found is None:
        argv = ["useradd", "--system", "--no-create-home", "--home-dir", home, "--shell", SHELL, "--gid", name, name]
        steps.append(("user", argv))
    else:
        if found.pw_uid == 0:
            raise Failed("the user `%s` is root" % name)
        if found.pw_dir != home or found.pw_shell != SHELL:
            steps.append(("entry", ["usermod", "--home", home, "--shell", SHELL, name]))
        if found_group is not None and found.pw_gid != found_group.gr_gid:
            steps.append(("primary group", ["usermod", "--gid", name, name]))
        for other in other_groups(name):
            wider.append("member of the group `%s`" % other)
            steps.append(("no member of %s" % other, ["gpasswd", "--delete", name, other]))
        if has_password(name):
            wider.append("a password")
            steps.append(("no password", ["usermod", "--password", "!", name]))
    for member in members:
        if found_group is None or member not in found_group.gr_mem:
            steps.append(("member %s" % member, ["usermod", "--append", "--groups", name, member]))
    return steps, wider


def carry_out(options, node):
    name = options["name"]
    steps, wider = plan(name, options["home"], options["members"])
    if not node.check_mode:
        for _, argv in steps:
            run(argv)
    changes = [what for what, _ in steps]
    found = user(name)
    if found is not None:
        changes += site_users.ensure(name, found.pw_uid, node.check_mode, node.warn)
    result = {"changed": bool(changes), "changes": changes}
    if wider:
        result["by_hand"] = ["the user `%s` had more than its own: %s" % (name, what) for what in wider]
    return result
