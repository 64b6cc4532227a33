"""Directories opened from the root down, one component at a time.

Site users own some of the directories that root writes into. A path is
therefore never handed to the kernel whole: each component is opened relative
to its parent without following links, and what is done to a file is done
relative to the open directory. A link on the way is followed only when root
made it, and outside of directories that only root can change it must also
stay below the directory that it is in (its owner could have moved it there).
"""

from __future__ import annotations

import errno
import os
import stat

from ansible_collections.pressluft.host.plugins.module_utils.tree import acl
from ansible_collections.pressluft.host.plugins.module_utils.tree.document import TreeError

MAX_LINKS = 40


class MissingDirectory(TreeError):
    """`path` is the first directory on the way that does not exist."""

    def __init__(self, path):
        super().__init__("directory `%s` does not exist" % path)
        self.path = path


class Directory:
    """An open directory; `real` is its path without links, `trusted` says that only root can change it and all above it."""

    def __init__(self, fd, real, trusted):
        self.fd = fd
        self.real = real
        self.trusted = trusted and _only_root_changes(fd)


def _only_root_changes(fd):
    status = os.fstat(fd)
    if status.st_uid not in (0, os.geteuid()):
        return False
    if status.st_mode & stat.S_ISVTX:
        # Others may add entries, but cannot move or replace those of root.
        return True
    if status.st_mode & stat.S_IWOTH:
        return False
    # Where somebody may write by an access list, the group seems to.
    return not status.st_mode & stat.S_IWGRP or (status.st_gid == 0 and not acl.found(fd))


class Directories:
    """Opens directories by absolute path, and keeps them open for the run."""

    def __init__(self):
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self.root = Directory(os.open("/", flags), "/", True)
        self.cache = {"/": self.root}

    def close(self):
        for directory in set(self.cache.values()):
            os.close(directory.fd)
        self.cache = {}

    def parent_of(self, path):
        """The open directory that holds `path`, and the last name of `path` as bytes."""
        head, name = os.path.split(path)
        return self.open(head), name.encode("utf-8")

    def open(self, path):
        """Raises `MissingDirectory`, or `TreeError` when a component is not to be trusted."""
        return self._open(path, MAX_LINKS)

    def _open(self, path, links):
        found = self.cache.get(path)
        if found is not None:
            return found
        parent, name = os.path.split(path)
        found = self._enter(self._open(parent, links), name, path, links)
        self.cache[path] = found
        return found

    def _enter(self, parent, name, path, links):
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        encoded = name.encode("utf-8", "surrogateescape")
        try:
            fd = os.open(encoded, flags, dir_fd=parent.fd)
        except FileNotFoundError:
            raise MissingDirectory(path)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise TreeError("cannot open directory `%s`: %s" % (path, error.strerror), paths=[path])
        else:
            return Directory(fd, os.path.join(parent.real, name), parent.trusted)
        return self._follow(parent, encoded, path, links)

    def _follow(self, parent, name, path, links):
        # The link is pinned by a descriptor, so that owner and target are of the same link.
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent.fd)
        try:
            status = os.fstat(fd)
            if not stat.S_ISLNK(status.st_mode):
                raise TreeError("`%s` is not a directory" % path, paths=[path])
            target = os.readlink(b"", dir_fd=fd).decode("utf-8", "surrogateescape")
        finally:
            os.close(fd)
        if links == 0:
            raise TreeError("too many links on the way to `%s`" % path, paths=[path])
        if status.st_uid not in (0, os.geteuid()):
            raise TreeError("`%s` is a link that root does not own: refused" % path, paths=[path])
        words = [word for word in target.split("/") if word not in ("", ".")]
        if not parent.trusted and (target.startswith("/") or ".." in words):
            raise TreeError("`%s` is a link out of a directory that others can change: refused" % path, paths=[path])
        current = self.root if target.startswith("/") else parent
        for word in words:
            if word == "..":
                current = self._open(os.path.dirname(current.real), links - 1)
                continue
            real = os.path.join(current.real, word)
            current = self.cache.get(real) or self._enter_target(current, word, real, path, links - 1)
        return current

    def _enter_target(self, current, word, real, path, links):
        try:
            found = self._enter(current, word, real, links)
        except MissingDirectory:
            raise TreeError("`%s` is a link to `%s`, which does not exist" % (path, real), paths=[path])
        self.cache[real] = found
        return found
