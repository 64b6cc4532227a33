"""Names of owners and groups, and the numbers that the file system knows."""

from __future__ import annotations

import grp
import pwd

from ansible_collections.pressluft.host.plugins.module_utils.tree.document import TreeError


def resolve_owners(tree, check_mode, warn):
    """Turns names into numbers; in check mode a user may be going to be made by an earlier task."""
    problems = []
    known = {}
    for item in tree.placements():
        for what, name, lookup in (("owner", item.owner, pwd.getpwnam), ("group", item.group, grp.getgrnam)):
            key = (what, name)
            if key not in known:
                known[key] = _number(name, lookup)
                if known[key] is None:
                    problems.append("unknown %s `%s` (`%s`)" % (what, name, item.path))
            setattr(item, "uid" if what == "owner" else "gid", -1 if known[key] is None else known[key])
    if problems and not check_mode:
        raise TreeError("%s; nothing was changed" % "; ".join(problems))
    for problem in problems:
        warn("%s: it does not exist yet" % problem)


def _number(name, lookup):
    if name.isdigit():
        return int(name)
    try:
        return lookup(name)[2]
    except KeyError:
        return None
