"""What WordPress itself consists of in a release: a list of digests beside it, which `sha256sum -c` reads, too.

What is below `wp-content` belongs to plugins and themes and is not listed; who may write and read it is looked at.
"""

from __future__ import annotations

import hashlib
import os
import stat

from ansible_collections.pressluft.host.plugins.module_utils.tree import acl

NOT_LISTED = "wp-content"
CONFIGURATION = "wp-config.php"
CONFIGURATION_TARGET = "../../shared/wp-config.php"
# No file of WordPress comes near it; a file that does is another one, and reading on would cost the look its time.
LARGEST = 64 << 20
# Of what is not listed, so many lines are enough to see that something is wrong.
MOST = 200


def place(root, name):
    return os.path.join(root, "releases", name + ".sha256")


def digest(path):
    """The SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_as_found(path):
    """The SHA-256 of a plain file that may have become anything since it was seen, or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            return None
        return hashlib.sha256(stream.read(LARGEST)).hexdigest()


def entries(folder):
    """What a release holds outside of `wp-content`: relative paths with what lstat says, sorted."""
    found = []
    for here, folders, files in os.walk(folder):
        if here == folder and NOT_LISTED in folders:
            folders.remove(NOT_LISTED)
        for name in folders + files:
            path = os.path.join(here, name)
            found.append((os.path.relpath(path, folder), os.lstat(path)))
    return sorted(found)


def write(root, name, folder):
    """Lists the files of `folder`, which is to become the release `name`."""
    lines = [
        "%s  %s\n" % (digest(os.path.join(folder, path)), path)
        for path, status in entries(folder)
        if stat.S_ISREG(status.st_mode)
    ]
    keep(root, name, "".join(lines))


def copy(source, root, name):
    """Takes over the list of another environment's release of the same name, where it has one."""
    try:
        with open(place(source, name), encoding="utf-8", errors="surrogateescape", newline="") as stream:
            keep(root, name, stream.read())
    except FileNotFoundError:
        pass


def keep(root, name, text):
    path = place(root, name)
    partial = os.path.join(root, "releases", ".%s.sha256.partial" % name)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(partial, path)


def read(root, name):
    """The digests by path, or None where none were kept."""
    try:
        with open(place(root, name), encoding="utf-8", errors="surrogateescape", newline="") as stream:
            lines = stream.read().split("\n")
    except FileNotFoundError:
        return None
    return {path: wanted for wanted, _, path in (line.partition("  ") for line in lines if line)}


def differences(root, name):
    """The lines of a difference from what is there to a release's list."""
    folder = os.path.join(root, "releases", name)
    # That of the environment: its directory is looked at by itself.
    group = os.lstat(root).st_gid
    lines = open_to_others(folder, group, ".", os.lstat(folder))
    listed = read(root, name)
    if listed is None:
        lines.append("+releases/%s.sha256, which says what the files were" % name)
        return lines
    folders = {parent for path in listed for parent in parents(path)}
    left = dict(listed, **{CONFIGURATION: None})
    for path, status in entries(folder):
        is_known = path in left
        wanted = left.pop(path, None)
        if stat.S_ISDIR(status.st_mode) and path in folders:
            lines += open_to_others(folder, group, path, status)
        elif not is_known:
            lines.append("-%s" % path)
        elif path == CONFIGURATION:
            lines += other_link(os.path.join(folder, path))
        else:
            lines += other_file(folder, group, path, status, wanted)
    return lines + ["+%s" % path for path in sorted(left)] + content(folder, group)


def parents(path):
    while path := os.path.dirname(path):
        yield path


def other_file(folder, group, path, status, wanted):
    found = digest_as_found(os.path.join(folder, path)) if stat.S_ISREG(status.st_mode) else None
    if found == wanted:
        return open_to_others(folder, group, path, status)
    told = "is no file of WordPress" if found is None else "sha256:" + found
    return ["-%s %s" % (path, told), "+%s sha256:%s" % (path, wanted)]


def other_link(path):
    """The configuration lies outside of releases."""
    try:
        target = os.readlink(path)
    except OSError:
        target = None
    if target == CONFIGURATION_TARGET:
        return []
    told = "is no link" if target is None else "-> %s" % target
    return ["-%s %s" % (CONFIGURATION, told), "+%s -> %s" % (CONFIGURATION, CONFIGURATION_TARGET)]


def open_to_others(folder, group, path, status):
    """A release belongs to root, is written by nobody else, and is read by nobody but its environment."""
    if status.st_gid != group:
        return ["-%s belongs to group %d" % (path, status.st_gid), "+%s belongs to group %d" % (path, group)]
    if status.st_uid == 0 and not status.st_mode & 0o027:
        lists = acl.shown(acl.found(os.path.join(folder, path)))
        return ["-%s has an access list: %s" % (path, ", ".join(lists)), "+%s has none" % path] if lists else []
    found = (path, status.st_uid, stat.S_IMODE(status.st_mode))
    wanted = "written by root alone" if status.st_uid != 0 or status.st_mode & 0o022 else "read by its environment alone"
    return ["-%s belongs to user %d with mode %04o" % found, "+%s is %s" % (path, wanted)]


def content(folder, group):
    """What is not listed may be anything, but nobody else writes or reads it either."""
    lines = []
    for here, folders, files in os.walk(os.path.join(folder, NOT_LISTED)):
        for path in [here] + [os.path.join(here, name) for name in files]:
            status = os.lstat(path)
            if not stat.S_ISLNK(status.st_mode):
                lines += open_to_others(folder, group, os.path.relpath(path, folder), status)
            if len(lines) > MOST:
                return lines
    return lines
