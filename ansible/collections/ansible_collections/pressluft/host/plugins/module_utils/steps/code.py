"""The code that an environment serves, compared with what was put there.

Only a look: which release is served is the business of deployments, and nobody else writes into one. What differs is
somebody's doing and stays until somebody has seen it.
"""

from __future__ import annotations

from ansible_collections.pressluft.host.plugins.module_utils import manifest, served

SHOWN = 100


def differences(root, recorded):
    """The lines of a difference from what is there to what was put there, as of what a run would change."""
    name = served.current(root)
    lines = []
    if name is None:
        return ["-serves nothing: `current` leads to no release", "+serves %s" % (recorded or "a release")]
    if recorded and name != recorded:
        lines += ["-serves %s" % name, "+serves %s" % recorded]
    return lines + manifest.differences(root, name)


def carry_out(options, node):
    lines = differences(options["root"], options["release"])
    result = {"changed": bool(lines), "changes": lines[:SHOWN], "only_seen": True}
    if node.want_diff and lines:
        shown = lines[:SHOWN]
        if len(lines) > SHOWN:
            shown.append(" and %d more lines" % (len(lines) - SHOWN))
        result["diff"] = {"prepared": "".join("%s\n" % line for line in shown)}
    return result
