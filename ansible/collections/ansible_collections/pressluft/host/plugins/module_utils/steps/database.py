"""A secure database server: no anonymous or remote root users, no test database, and root logs in through the socket."""

from __future__ import annotations

import os

from ansible_collections.pressluft.host.plugins.module_utils import mariadb


def carry_out(options, node):
    if node.check_mode and not os.path.exists("/run/mysqld/mysqld.sock"):
        return {"changed": True, "changes": ["the server is going to be installed"]}
    changes = mariadb.secure(node.check_mode)
    return {"changed": bool(changes), "changes": changes}
