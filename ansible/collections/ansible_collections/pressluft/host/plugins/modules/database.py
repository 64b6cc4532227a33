#!/usr/bin/python
"""Secure the database server."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: database
short_description: Have a secure database server, and a database with its user
version_added: "0.1.0"
description:
  - Without O(name), removes anonymous and remote root users and the test database, and has root log in through the
    socket alone.
  - With O(name), makes a database and a user of the same name that may work in it and nowhere else. The password is
    compared with what the server stores and set only when it differs.
options:
  name:
    description: The database and its user.
    type: str
  password:
    description: The user's password.
    type: str
attributes:
  check_mode:
    support: full
    description: Predicts the changes; a server that does not run yet is a prediction of all of them.
author:
  - The Pressluft authors (@pressluft)
"""

EXAMPLES = r"""
- name: Secure the database server
  pressluft.host.database: {}

- name: Make a database
  pressluft.host.database:
    name: wp_acme_production
    password: "{{ password }}"
  no_log: true
"""

RETURN = r"""
changes:
  description: What was not as it should be.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pressluft.host.plugins.module_utils import mariadb
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed


def main():
    module = AnsibleModule(
        argument_spec={"name": {"type": "str"}, "password": {"type": "str", "no_log": True}},
        required_together=[("name", "password")],
        supports_check_mode=True,
    )
    name = module.params["name"]
    if module.check_mode and not os.path.exists("/run/mysqld/mysqld.sock"):
        module.exit_json(changed=True, changes=["the server is going to be installed"])
    try:
        if name is None:
            changes = mariadb.secure(module.check_mode)
        else:
            changes = mariadb.ensure_account(name, module.params["password"], module.check_mode)
    except Failed as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
