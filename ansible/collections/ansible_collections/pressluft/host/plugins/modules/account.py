#!/usr/bin/python
"""The Linux user of an environment."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: account
short_description: Have a system user that nobody logs in as
version_added: "0.1.0"
description:
  - Makes a system user with a group of its own, without a home directory, password or shell.
  - Members of the group may read what belongs to it; the web server is one.
options:
  name:
    description: The user and its group.
    type: str
    required: true
  home:
    description: What stands in the user's entry; nothing is made there.
    type: str
    required: true
  members:
    description: Users that join the group.
    type: list
    elements: str
    default: [www-data]
attributes:
  check_mode:
    support: full
    description: Predicts the changes.
author:
  - The Pressluft authors (@pressluft)
"""

EXAMPLES = r"""
- name: Make the environment's user
  pressluft.host.account:
    name: wp_acme_production
    home: /var/www/sites/acme/production
"""

RETURN = r"""
changes:
  description: What was not as it should be.
  returned: always
  type: list
  elements: str
"""

import grp
import pwd

from ansible.module_utils.basic import AnsibleModule
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


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "home": {"type": "str", "required": True},
            "members": {"type": "list", "elements": "str", "default": ["www-data"]},
        },
        supports_check_mode=True,
    )
    try:
        steps = plan(module.params["name"], module.params["home"], module.params["members"])
        if not module.check_mode:
            for _, argv in steps:
                run(argv)
    except Failed as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(steps), changes=[what for what, _ in steps])


if __name__ == "__main__":
    main()
