"""Access lists of POSIX: rights beside owner, group and mode, which a mode does not show.

Nothing of ours has one. A file that has one is read or written by somebody whom its mode keeps out, and a directory's
default list gives one to whatever is made in it.
"""

from __future__ import annotations

import errno
import os
import stat
import struct

ATTRIBUTES = ("system.posix_acl_access", "system.posix_acl_default")
# The file has none, or its file system keeps none.
NONE = (errno.ENODATA, errno.ENOTSUP)
ENTRY = struct.Struct("<HHI")
HEADER = 4
USER, GROUP = 0x02, 0x08


def found(place):
    """The lists of a file or directory, which is a descriptor or a path that is not followed: bytes by attribute."""
    options = {} if isinstance(place, int) else {"follow_symlinks": False}
    lists = {}
    for name in ATTRIBUTES:
        try:
            lists[name] = os.getxattr(place, name, **options)
        except OSError as error:
            if error.errno not in NONE:
                raise
    return lists


def found_in(parent_fd, name, status):
    """The lists of an entry of an open directory."""
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return {}
    return found(b"/proc/self/fd/%d/%s" % (parent_fd, os.fsencode(name)))


def remove(fd):
    """Takes all lists away; the mode then says everything again."""
    for name in found(fd):
        os.removexattr(fd, name)


def restore(fd, lists):
    """Makes the lists those that `found` returned."""
    remove(fd)
    for name, data in lists.items():
        os.setxattr(fd, name, data)


def shown(lists):
    """Whom the lists name, one line each."""
    lines = []
    for name, data in lists.items():
        kind = "default " if name.endswith("default") else ""
        for tag, rights, number in ENTRY.iter_unpack(data[HEADER : HEADER + (len(data) - HEADER) // 8 * 8]):
            who = {USER: "user", GROUP: "group"}.get(tag)
            if who is not None:
                letters = "".join(letter if rights & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
                lines.append("%s%s %d %s" % (kind, who, number, letters))
    return lines or ["an access list"] * bool(lists)
