"""The Linux user of an environment: a system user with a group of its own, that nobody logs in as.

Members of the group may read what belongs to it; the web server is one.
"""

from __future__ import annotations

import grp
import pwd

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run

SHELL = "/usr/sbin/nologin"


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


def plan(name, home, members):
    """What has to change, as descriptions and commands."""
    steps = []
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
    for member in members:
        if found_group is None or member not in found_group.gr_mem:
            steps.append(("member %s" % member, ["usermod", "--append", "--groups", name, member]))
    return steps


def carry_out(options, node):
    steps = plan(options["name"], options["home"], options["members"])
    if not node.check_mode:
        for _, argv in steps:
            run(argv)
    return {"changed": bool(steps), "changes": [what for what, _ in steps]}
