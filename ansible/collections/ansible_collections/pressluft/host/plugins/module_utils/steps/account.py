"""The Linux user of an environment: a system user with a group of its own, that nobody logs in as.

Members of the group may read what belongs to it; the web server is one. The user itself is in no other group, has no
password, and is known to the firewall. Where it had more than that, or others were let in, somebody did it: a job takes
it away, and a look says so apart, because what was done with it in the meantime is for somebody to find out. Doubled
numbers, and who may change a group, stay until a person mends them.
"""

from __future__ import annotations

import grp
import pwd

from ansible_collections.pressluft.host.plugins.module_utils import site_users
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run

SHELL = "/usr/sbin/nologin"
SITES = "/var/www/sites/"
SHADOW = "/etc/shadow"
GROUP_SHADOW = "/etc/gshadow"


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


def other_members(name, own, members):
    """Who reads what belongs to the user, as a member of its group, and should not."""
    return sorted(set(own.gr_mem) - set(members) - {name})


def doubles(name, found, own):
    """Who has the same number as the user or its group, in words: to the kernel they are the same.

    What to do with them is for a person to say, for they may own files of their own.
    """
    for entry in pwd.getpwall():
        if entry.pw_name != name and entry.pw_uid == found.pw_uid:
            yield "the user `%s` has the number of `%s`: %d" % (entry.pw_name, name, found.pw_uid)
        elif entry.pw_name != name and own is not None and entry.pw_gid == own.gr_gid:
            yield "the user `%s` has the group of `%s` as its own" % (entry.pw_name, name)
    for entry in grp.getgrall():
        if entry.gr_name != name and own is not None and entry.gr_gid == own.gr_gid:
            yield "the group `%s` has the number of the group `%s`: %d" % (entry.gr_name, name, own.gr_gid)


def entries(path):
    """The lines of a file such as the one of passwords, each as its fields."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        return [line.rstrip("\n").split(":") for line in stream]


def has_password(name):
    """Whether the user could log in with a password, or without one."""
    return any(len(entry) > 1 and entry[1][:1] not in ("!", "*") for entry in entries(SHADOW) if entry[0] == name)


def has_end(name):
    """Whether the account ends on some day."""
    return any(len(entry) > 7 and entry[7] for entry in entries(SHADOW) if entry[0] == name)


def group_rights(name):
    """Who may change the group or enter it with a password, and what groups the user may change, in words."""
    try:
        found = entries(GROUP_SHADOW)
    except FileNotFoundError:
        return
    for entry in found:
        if len(entry) < 3:
            continue
        if entry[0] == name and entry[1].strip("!*x"):
            yield "the group `%s` has a password" % name
        if entry[0] == name and entry[2]:
            yield "the group `%s` is changed by `%s`" % (name, entry[2])
        if entry[0] != name and name in entry[2].split(","):
            yield "the user `%s` may change the group `%s`" % (name, entry[0])


def plan(name, home, members):
    """What has to change, as descriptions and commands, and in words what somebody gave the user or others."""
    steps, wider = [], []
    more = "the user `%s` had more than its own: " % name
    found_group, found = group(name), user(name)
    if found_group is None:
        steps.append(("group", ["groupadd", "--system", name]))
    if found is None:
        argv = ["useradd", "--system", "--no-create-home", "--home-dir", home, "--shell", SHELL, "--gid", name, name]
        steps.append(("user", argv))
    else:
        if found.pw_uid == 0:
            raise Failed("the user `%s` is root" % name)
        if found.pw_dir != home and found.pw_dir.startswith(SITES):
            raise Failed("the user `%s` is that of the environment in `%s`; nothing was touched" % (name, found.pw_dir))
        if found.pw_dir != home or found.pw_shell != SHELL:
            steps.append(("entry", ["usermod", "--home", home, "--shell", SHELL, name]))
        if found_group is not None and found.pw_gid != found_group.gr_gid:
            steps.append(("primary group", ["usermod", "--gid", name, name]))
        wider += doubles(name, found, found_group)
        wider += group_rights(name)
        if has_end(name):
            steps.append(("no end", ["usermod", "--expiredate", "", name]))
        for other in other_groups(name):
            wider.append("%smember of the group `%s`" % (more, other))
            steps.append(("no member of %s" % other, ["gpasswd", "--delete", name, other]))
        if has_password(name):
            wider.append(more + "a password")
            steps.append(("no password", ["usermod", "--password", "!", name]))
    for other in other_members(name, found_group, members) if found_group is not None else ():
        wider.append("the user `%s` was a member of the group `%s`" % (other, name))
        steps.append(("no member %s" % other, ["gpasswd", "--delete", other, name]))
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
        # For a look, what could not be asked is as much a finding as what was found.
        tell = wider.append if node.check_mode else node.warn
        changes += site_users.ensure(name, found.pw_uid, node.check_mode, tell)
    result = {"changed": bool(changes), "changes": changes}
    if wider:
        result["by_hand"] = wider
    return result
