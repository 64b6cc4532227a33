"""Everything below a directory that strangers write in, looked at with the rights of root.

Only directories are opened, each by its name in the one above it, and no link is followed: nothing below leads anywhere
else, whatever a name is changed to meanwhile, and no path is too long. No content is read. A stranger's process has no
part in it that it could stop or end.

A walk either comes to its end or raises `Failed`, so nobody takes a part for all of it.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
ENTRIES = 2_000_000
# Each has two descriptors open.
DEPTH = 128
SHOWN = 200


def entries(folder, seconds, most=ENTRIES):
    """The path and the status of each entry below a folder, which may have been made by anybody."""
    deadline = time.monotonic() + seconds
    count = 0
    # Each directory that is open: its descriptor, its path, and what is left of it.
    levels = [_opened(folder, None, folder)]
    try:
        while levels:
            fd, path, left = levels[-1]
            entry = next(left, None)
            if entry is None:
                _close(levels.pop())
                continue
            count += 1
            if count > most:
                raise Failed("`%s` holds more than %d files" % (folder, most))
            if time.monotonic() >= deadline:
                raise Failed("`%s` could not be gone through within %d s" % (folder, seconds))
            below = os.path.join(path, entry.name)
            try:
                status = os.stat(entry.name, dir_fd=fd, follow_symlinks=False)
                yield below, status
                if not stat.S_ISDIR(status.st_mode):
                    continue
                if len(levels) == DEPTH:
                    raise Failed("`%s` is more than %d directories deep" % (_shown(below), DEPTH))
                levels.append(_opened(entry.name, fd, below))
            except FileNotFoundError:
                # It went away between being listed and being looked at.
                continue
    finally:
        for level in levels:
            _close(level)


def _opened(name, above, path):
    try:
        fd = os.open(name, OPEN, dir_fd=above)
    except OSError as error:
        if error.errno == errno.ENOENT and above is not None:
            raise
        raise Failed("`%s` cannot be looked into: %s" % (_shown(path), error.strerror))
    try:
        return fd, path, os.scandir(fd)
    except OSError:
        os.close(fd)
        raise


def _close(level):
    fd, _, left = level
    left.close()
    os.close(fd)


def _shown(path):
    return "".join(letter if letter.isprintable() else "?" for letter in path)[-SHOWN:]
