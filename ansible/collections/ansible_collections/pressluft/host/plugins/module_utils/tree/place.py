"""Placing changes, taking them back, and clearing what they left behind.

Every step can be repeated: an undo whose change never happened does nothing,
so that the journal of a run that died may be undone by the next one.
"""

from __future__ import annotations

import errno
import os
import stat

from ansible_collections.pressluft.host.plugins.module_utils.tree import acl
from ansible_collections.pressluft.host.plugins.module_utils.tree.observe import GONE, OLD
from ansible_collections.pressluft.host.plugins.module_utils.tree.walk import MissingDirectory

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Placer:
    def __init__(self, directories):
        self.directories = directories
        self.touched = {}

    def place(self, change):
        item = change.item
        parent, name = self._touch(item.path)
        if item.kind == "directory":
            self._directory(parent, name, change)
            return
        if item.kind == "absent":
            self._remove(parent, name, change)
            return
        temporary = change.temporary.encode("utf-8")
        if item.kind == "link":
            os.symlink(item.target, temporary, dir_fd=parent.fd)
            own_link(temporary, item, parent.fd)
        else:
            write_file(temporary, item, parent.fd)
        if change.backup:
            backup = change.backup.encode("utf-8")
            os.link(name, backup, src_dir_fd=parent.fd, dst_dir_fd=parent.fd, follow_symlinks=False)
        os.rename(temporary, name, src_dir_fd=parent.fd, dst_dir_fd=parent.fd)

    def _directory(self, parent, name, change):
        item = change.item
        if change.state == "created":
            os.mkdir(name, 0o700, dir_fd=parent.fd)
        fd = os.open(name, OPEN_DIRECTORY, dir_fd=parent.fd)
        try:
            if change.state == "created" and (os.fstat(fd).st_uid != os.geteuid() or os.listdir(fd)):
                # Who can change the parent may have put another directory in its place.
                raise OSError("another directory is at `%s`" % item.path)
            # One that is new has its parent's. chown clears set-id bits, so the mode comes last.
            acl.remove(fd)
            os.fchown(fd, item.uid, item.gid)
            os.fchmod(fd, item.mode)
        finally:
            os.close(fd)

    def _remove(self, parent, name, change):
        backup = change.backup.encode("utf-8")
        os.rename(name, backup, src_dir_fd=parent.fd, dst_dir_fd=parent.fd)
        if change.found.kind == "directory" and not change.item.recursive:
            # Entries that went away before are hidden next to it, inside of it: only those may be left.
            self._refuse_unexpected(parent, backup, change)

    def _refuse_unexpected(self, parent, backup, change):
        fd = os.open(backup, OPEN_DIRECTORY, dir_fd=parent.fd)
        try:
            names = os.listdir(fd)
        finally:
            os.close(fd)
        if not all(name.endswith((".pressluft-%s" % OLD, ".pressluft-%s" % GONE)) for name in names):
            raise OSError("directory `%s` is not empty" % change.item.path)

    def undo(self, step):
        """Brings back what one journal entry describes; a step that never happened is passed over."""
        try:
            parent, name = self._touch(step["path"])
        except MissingDirectory:
            return
        how = step["undo"]
        try:
            if how == "restore":
                self._restore(parent, name, step["backup"].encode("utf-8"))
            elif how == "unlink":
                os.unlink(name, dir_fd=parent.fd)
            elif how == "rmdir":
                os.rmdir(name, dir_fd=parent.fd)
            elif how == "attributes":
                fd = os.open(name, OPEN_DIRECTORY, dir_fd=parent.fd)
                try:
                    os.fchown(fd, step["uid"], step["gid"])
                    os.fchmod(fd, step["mode"])
                    # With a list, the group's part of the mode is a part of the list.
                    acl.restore(fd, {name: bytes.fromhex(data) for name, data in step.get("lists", {}).items()})
                finally:
                    os.close(fd)
        except FileNotFoundError:
            return
        except OSError as error:
            # A service may keep its own files in a new directory by now: those stay.
            if how != "rmdir" or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _restore(self, parent, name, backup):
        os.stat(backup, dir_fd=parent.fd, follow_symlinks=False)
        os.rename(backup, name, src_dir_fd=parent.fd, dst_dir_fd=parent.fd)
        try:
            # A rename between two names of one file does nothing at all.
            os.unlink(backup, dir_fd=parent.fd)
        except FileNotFoundError:
            return

    def clear(self, path):
        """Removes a temporary name or a backup; a directory only where a directory was put aside."""
        try:
            parent, name = self._touch(path)
            status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
        except (MissingDirectory, FileNotFoundError):
            return
        if stat.S_ISDIR(status.st_mode) and path.endswith(".pressluft-%s" % GONE):
            remove_tree(name, parent.fd)
        else:
            os.unlink(name, dir_fd=parent.fd)

    def sync(self):
        """Makes the renames of this run survive a power cut."""
        touched, self.touched = self.touched, {}
        for directory in touched.values():
            try:
                os.fsync(directory.fd)
            except OSError as error:
                # File systems that keep nothing on a disk may refuse.
                if error.errno != errno.EINVAL:
                    raise

    def _touch(self, path):
        parent, name = self.directories.parent_of(path)
        self.touched[id(parent)] = parent
        return parent, name


def write_file(name, item, parent_fd):
    """A new file with its final content, owner and mode; it is nobody else's before that."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=parent_fd)
    with os.fdopen(fd, "wb") as stream:
        stream.write(item.content)
        stream.flush()
        acl.remove(fd)
        os.fchown(fd, item.uid, item.gid)
        os.fchmod(fd, item.mode)
        os.fsync(fd)


def own_link(name, item, parent_fd):
    """Gives a new link its owner, through a descriptor.

    By name, who can change the directory could put another file in its place
    first and be given that.
    """
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)
    try:
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            raise OSError("another file is in the place of the new link")
        os.chown("/proc/self/fd/%d" % fd, item.uid, item.gid)
    finally:
        os.close(fd)


def remove_tree(name, parent_fd):
    """Everything below a directory, relative to open descriptors and without following links."""
    fd = os.open(name, OPEN_DIRECTORY, dir_fd=parent_fd)
    try:
        with os.scandir(fd) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for child, is_directory in found:
            if is_directory:
                remove_tree(child, fd)
            else:
                os.unlink(child, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=parent_fd)
