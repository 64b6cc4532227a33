"""A secure database server: no anonymous or remote root users, no test database, no rights of everybody, and root logs
in through the socket.

Another account with the rights of root is told, and left to whoever made it.
"""

from __future__ import annotations

import os

from ansible_collections.pressluft.host.plugins.module_utils import accounts


def carry_out(options, node):
    if node.check_mode and not os.path.exists("/run/mysqld/mysqld.sock"):
        return {"changed": True, "changes": ["the server is going to be installed"]}
    changes = accounts.secure(node.check_mode)
    result = {"changed": bool(changes), "changes": changes}
    powerful = accounts.powerful()
    if powerful:
        result["by_hand"] = powerful
    return result
