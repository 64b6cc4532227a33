"""What is on disk, compared with the items: reads only."""

from __future__ import annotations

import os
import stat

from ansible_collections.pressluft.host.plugins.module_utils.tree import acl
from ansible_collections.pressluft.host.plugins.module_utils.tree.document import TreeError
from ansible_collections.pressluft.host.plugins.module_utils.tree.walk import MissingDirectory

CHUNK = 1 << 20
# Endings of the names of what is new, what was replaced, and directories that were removed.
NEW, OLD, GONE = "new", "old", "gone"


class Found:
    """What is at a path; `status` is None when there is nothing. `lists` are its access lists."""

    def __init__(self, status=None, target=b"", lists=None):
        self.status = status
        self.target = target
        self.lists = lists or {}

    @property
    def kind(self):
        if self.status is None:
            return "absent"
        for kind, test in (("file", stat.S_ISREG), ("directory", stat.S_ISDIR), ("link", stat.S_ISLNK)):
            if test(self.status.st_mode):
                return kind
        return "special"


class Change:
    """One item that differs. `temporary` and `backup` are names next to its path."""

    def __init__(self, item, found, state, what, backup=""):
        self.item = item
        self.found = found
        self.state = state
        self.what = what
        self.temporary = ""
        self.backup = backup
        self.diff = {}

    def undo(self):
        """How to bring the previous state back, as JSON for the journal."""
        path = self.item.path
        if self.backup:
            return {"path": path, "undo": "restore", "backup": self.backup}
        if self.item.kind == "directory" and self.found.status is not None:
            status = self.found.status
            mode = stat.S_IMODE(status.st_mode)
            lists = {name: data.hex() for name, data in self.found.lists.items()}
            attributes = {"uid": status.st_uid, "gid": status.st_gid, "mode": mode, "lists": lists}
            return dict(attributes, path=path, undo="attributes")
        return {"path": path, "undo": "rmdir" if self.item.kind == "directory" else "unlink"}

    def leftovers(self):
        """Paths that only exist while the change is under way."""
        head = os.path.dirname(self.item.path)
        return [os.path.join(head, name) for name in (self.temporary, self.backup) if name]


def side_name(path, suffix):
    """A hidden name that the `*.conf` patterns and `conf.d` readers of services pass over."""
    name = os.path.basename(path).encode("utf-8")[:180].decode("utf-8", "ignore")
    return ".%s.%s.pressluft-%s" % (name, os.urandom(6).hex(), suffix)


def changes(tree, directories, check_mode, warn):
    """The `Change` of every item that is not as it should be, in the order to apply them."""
    created = set()
    result = []
    for item in tree.placements() + tree.removals():
        try:
            found = _look(directories, item)
        except MissingDirectory as missing:
            found = Found()
            parent = os.path.dirname(item.path)
            if item.kind != "absent" and parent not in created:
                if not check_mode:
                    raise TreeError("`%s` cannot be placed: %s" % (item.path, missing), paths=[item.path])
                warn("`%s`: directory `%s` does not exist yet" % (item.path, missing.path))
                created.add(parent)
        change = _compare(directories, item, found)
        if change is not None:
            if change.state == "created" and item.kind == "directory":
                created.add(item.path)
            result.append(change)
    return result


def _look(directories, item):
    parent, name = directories.parent_of(item.path)
    try:
        status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
    except FileNotFoundError:
        return Found()
    target = os.readlink(name, dir_fd=parent.fd) if stat.S_ISLNK(status.st_mode) else b""
    return Found(status, target, acl.found_in(parent.fd, name, status))


def _compare(directories, item, found):
    if item.kind == "absent":
        return _compare_absent(item, found)
    if found.kind == "absent":
        change = Change(item, found, "created", _all_parts(item))
    else:
        _refuse_conflict(item, found)
        what = ["kind"] if found.kind != item.kind else []
        if item.kind == "link" and found.target != item.target:
            what.append("target")
        if item.kind == "file" and (found.kind != "file" or not _same_content(directories, item, found)):
            what.append("content")
        if found.status.st_uid != item.uid:
            what.append("owner")
        if found.status.st_gid != item.gid:
            what.append("group")
        if item.kind != "link" and found.kind != "link" and stat.S_IMODE(found.status.st_mode) != item.mode:
            what.append("mode")
        if found.lists:
            what.append("acl")
        if not what:
            return None
        change = Change(item, found, "changed", what)
        if item.kind != "directory":
            change.backup = side_name(item.path, OLD)
    if item.kind != "directory":
        change.temporary = side_name(item.path, NEW)
    return change


def _all_parts(item):
    first = {"file": ["content"], "link": ["target"], "directory": []}[item.kind]
    return first + ["owner", "group"] + ([] if item.kind == "link" else ["mode"])


def _refuse_conflict(item, found):
    if item.kind == "directory" and found.kind != "directory":
        raise TreeError("`%s` should be a directory and is a %s" % (item.path, found.kind), paths=[item.path])
    if item.kind in ("file", "link") and found.kind not in ("file", "link"):
        raise TreeError("`%s` should be a %s and is a %s" % (item.path, item.kind, found.kind), paths=[item.path])


def _compare_absent(item, found):
    if found.kind == "absent":
        return None
    ending = GONE if found.kind == "directory" else OLD
    return Change(item, found, "removed", [found.kind], backup=side_name(item.path, ending))


def refuse_full_directories(planned, directories):
    """A directory that goes away without `recursive` may hold only what goes away with it."""
    going = {change.item.path for change in planned if change.state == "removed"}
    for change in planned:
        if change.state != "removed" or change.found.kind != "directory" or change.item.recursive:
            continue
        path = change.item.path
        for name in os.listdir(directories.open(path).fd):
            if os.path.join(path, name) not in going:
                raise TreeError("directory `%s` is not empty: set `recursive` to remove it" % path, paths=[path])


def open_regular(directories, path):
    """A descriptor of the regular file at `path`, or None when it is something else."""
    parent, name = directories.parent_of(path)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=parent.fd)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def _same_content(directories, item, found):
    if found.status.st_size != len(item.content):
        return False
    fd = open_regular(directories, item.path)
    if fd is None:
        return False
    with os.fdopen(fd, "rb") as stream:
        offset = 0
        while True:
            chunk = stream.read(CHUNK)
            if chunk != item.content[offset : offset + len(chunk)]:
                return False
            offset += len(chunk)
            if not chunk:
                return offset == len(item.content)
