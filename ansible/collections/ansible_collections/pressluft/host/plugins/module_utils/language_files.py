"""The translations of an environment on its node: placed by us, and known by what was placed.

They belong to root, are read by the environment's group and written by nobody else. What is there is compared by what the
kernel says of each file, and read only where that has moved: a run without changes reads none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat

from ansible_collections.pressluft.host.plugins.module_utils.language_pack import LARGEST_FILE

MODE = 0o640
PARTIAL = ".pressluft-new"


class Record:
    """What was placed: for each pack where it came from, and its files with their digests and what they looked like."""

    def __init__(self, state_dir):
        self.path = os.path.join(state_dir, "languages.json")
        try:
            with open(self.path, encoding="utf-8") as stream:
                self.packs = json.load(stream)["packs"]
        # It is our own; without it everything is placed anew.
        except (OSError, ValueError, KeyError, TypeError):
            self.packs = {}

    def origin(self, key):
        return self.packs.get(key, {}).get("origin")

    def files(self, key):
        return self.packs.get(key, {}).get("files", {})

    def keep(self):
        temporary = self.path + ".new"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump({"packs": self.packs}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, self.path)


def difference(path, group, digest, seen):
    """What of a file is not as it was placed: `content`, `owner or mode`, or None."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "content"
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
        return "content"
    if look_of(status) != seen and _digest(path) != digest:
        return "content"
    if (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) != (0, group, MODE):
        return "owner or mode"
    return None


def look_of(status):
    """Nobody can change a file and leave all of these as they were."""
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _digest(path):
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def place(path, content, group):
    """Writes a file in one step; its digest and what it looks like then."""
    temporary = os.path.join(os.path.dirname(path), PARTIAL)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600), "wb") as stream:
            stream.write(content)
            stream.flush()
            _give(stream.fileno(), group)
            os.fsync(stream.fileno())
        os.rename(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return [hashlib.sha256(content).hexdigest(), look_of(os.lstat(path))]


def mend(path, digest, group):
    """Gives a file with the right content back to whom it belongs; the same as of `place`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _give(descriptor, group)
        return [digest, look_of(os.fstat(descriptor))]
    finally:
        os.close(descriptor)


def _give(descriptor, group):
    os.fchown(descriptor, 0, group)
    os.fchmod(descriptor, MODE)
