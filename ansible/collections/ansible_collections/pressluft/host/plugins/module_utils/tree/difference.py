"""The diff of one change: texts that a unified diff can be made of."""

from __future__ import annotations

import grp
import os
import pwd
import stat

from ansible_collections.pressluft.host.plugins.module_utils.tree import acl
from ansible_collections.pressluft.host.plugins.module_utils.tree.observe import open_regular

LIMIT = 100 * 1024
HASH_LIMIT = 64 << 20
SENSITIVE = "(sensitive)\n"


def diff_of(change, directories):
    """`before_header`, `after_header`, `before` and `after`, as Ansible's callbacks expect them."""
    item, found = change.item, change.found
    before_attributes = _attributes(found.status)
    after_attributes = {} if item.kind == "absent" else _wanted_attributes(item)
    before = _before(change, directories)
    after = _after(item)
    if change.state == "changed" and not set(change.what) & {"content", "target", "kind"}:
        keys = [key for key in ("owner", "group", "mode") if key in change.what]
        before = "".join("%s %s\n" % (key, before_attributes[key]) for key in keys)
        before += "".join("acl %s\n" % line for line in acl.shown(found.lists))
        after = "".join("%s %s\n" % (key, after_attributes[key]) for key in keys)
        before_attributes = after_attributes = {}
    elif before_attributes == after_attributes:
        before_attributes = after_attributes = {}
    return {
        "before_header": _header(item.path, found.kind, before_attributes),
        "after_header": _header(item.path, item.kind, after_attributes),
        "before": before,
        "after": after,
    }


def _header(path, kind, attributes):
    if kind == "absent":
        return "%s (absent)" % path
    if not attributes:
        return path
    mode = " %s" % attributes["mode"] if "mode" in attributes else ""
    return "%s (%s:%s%s)" % (path, attributes["owner"], attributes["group"], mode)


def _attributes(status):
    if status is None:
        return {}
    attributes = {"owner": _name(pwd.getpwuid, status.st_uid), "group": _name(grp.getgrgid, status.st_gid)}
    if not stat.S_ISLNK(status.st_mode):
        attributes["mode"] = "%04o" % stat.S_IMODE(status.st_mode)
    return attributes


def _wanted_attributes(item):
    attributes = {"owner": item.owner, "group": item.group}
    if item.kind != "link":
        attributes["mode"] = "%04o" % item.mode
    return attributes


def _name(lookup, number):
    try:
        return lookup(number)[0]
    except KeyError:
        return str(number)


def _after(item):
    if item.kind == "absent":
        return ""
    if item.kind == "directory":
        return "directory\n"
    if item.kind == "link":
        return "link to %s\n" % item.target.decode("utf-8", "replace")
    if item.sensitive:
        return SENSITIVE
    if len(item.content) > LIMIT or _is_binary(item.content):
        import hashlib

        return _summary(item.content, len(item.content), hashlib.sha256(item.content).hexdigest())
    return item.content.decode("utf-8")


def _before(change, directories):
    item, found = change.item, change.found
    if found.kind == "absent":
        return ""
    if found.kind == "link":
        return "link to %s\n" % found.target.decode("utf-8", "replace")
    if found.kind != "file":
        return "%s\n" % found.kind + ("and everything below it\n" if item.recursive else "")
    if item.sensitive:
        return SENSITIVE
    # Nobody said that what was here is not sensitive: it goes away, or its
    # name may have been made by a user who cannot read it himself.
    private = not found.status.st_mode & stat.S_IROTH
    if private and (item.kind == "absent" or found.status.st_nlink > 1):
        return "(not readable by everybody, %d bytes)\n" % found.status.st_size
    fd = open_regular(directories, item.path)
    if fd is None:
        return ""
    with os.fdopen(fd, "rb") as stream:
        content = stream.read(LIMIT + 1)
        if len(content) <= LIMIT and not _is_binary(content):
            return content.decode("utf-8")
        import hashlib

        digest = hashlib.sha256(content)
        while found.status.st_size <= HASH_LIMIT:
            chunk = stream.read(1 << 20)
            if not chunk:
                break
            digest.update(chunk)
        else:
            return _summary(content, found.status.st_size, None)
    return _summary(content, found.status.st_size, digest.hexdigest())


def _is_binary(content):
    if b"\0" in content:
        return True
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def _summary(content, size, digest):
    kind = "binary" if b"\0" in content[:LIMIT] else "text"
    return "(%s, %d bytes%s)\n" % (kind, size, ", sha256 %s" % digest if digest else "")
