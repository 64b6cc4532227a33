"""Releases: immutable copies of an environment's code, and the link that says which one is served."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile

from ansible_collections.pressluft.host.plugins.module_utils import manifest, served
from ansible_collections.pressluft.host.plugins.module_utils.manifest import digest
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run
from ansible_collections.pressluft.host.plugins.module_utils.served import VERSION

LARGEST = 1 << 30
# Where a release reaches into what outlives it; relative, so that a copy of a release is a release.
OBJECT_CACHE = "wp-content/object-cache.php"
LINKS = {
    manifest.CONFIGURATION: manifest.CONFIGURATION_TARGET,
    "wp-content/uploads": "../../../shared/uploads",
    # It leads nowhere where there is no object cache, and WordPress then has none.
    OBJECT_CACHE: "../../../shared/object-cache.php",
    "wp-content/mu-plugins/pressluft.php": "../../../../shared/mu-plugins/pressluft.php",
}


def version_of(archive):
    """The version of WordPress in an archive."""
    try:
        match = VERSION.search(archive.read("wordpress/wp-includes/version.php"))
    except KeyError:
        match = None
    if match is None:
        raise Failed("the archive holds no WordPress")
    return match.group(1).decode("ascii")


def archive_version(archive_path):
    """The version of WordPress in an archive."""
    with zipfile.ZipFile(archive_path) as archive:
        return version_of(archive)


def from_archive(root, archive_path, group):
    """Builds a release from WordPress's own archive; returns its name and whether it was missing."""
    with zipfile.ZipFile(archive_path) as archive:
        name = "wordpress-%s-%s" % (version_of(archive), digest(archive_path)[:12])
        if os.path.isdir(os.path.join(root, "releases", name)):
            return name, False
        with Partial(root, name) as partial:
            extract(archive, partial)
            finish(partial, group)
            manifest.write(root, name, partial)
    return name, True


def from_release(root, source, group):
    """Copies another environment's release; returns its name and whether it was missing."""
    name = os.path.basename(source)
    if os.path.isdir(os.path.join(root, "releases", name)):
        return name, False
    with Partial(root, name) as partial:
        run(["cp", "--archive", "--reflink=auto", "--no-target-directory", "--", source, partial], timeout=1200)
        finish(partial, group)
        manifest.copy(os.path.dirname(os.path.dirname(source)), root, name)
    return name, True


def switch(root, name):
    """Serves the release `name` from now on, in one step."""
    link = os.path.join(root, ".current.new")
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink("releases/" + name, link)
    os.rename(link, os.path.join(root, "current"))


def link(root, path):
    """Has the release that is served reach into what outlives it at `path`, where it was built without that."""
    name = served.current(root)
    if name is not None:
        place = os.path.join(root, "releases", name, path)
        if not os.path.lexists(place):
            os.symlink(LINKS[path], place)


class Partial:
    """A release under construction: it gets its name once it is whole."""

    def __init__(self, root, name):
        self.path = os.path.join(root, "releases", ".%s.partial" % name)
        self.final = os.path.join(root, "releases", name)

    def __enter__(self):
        if os.path.lexists(self.path):
            shutil.rmtree(self.path)
        os.mkdir(self.path, 0o700)
        return self.path

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        # A release that was renamed but not written would survive a power loss half empty.
        os.sync()
        os.rename(self.path, self.final)


def extract(archive, target):
    """Unpacks what is below `wordpress/`; the archive is not trusted."""
    total = 0
    for entry in archive.infolist():
        parts = entry.filename.split("/")
        if parts[0] != "wordpress" or ".." in parts or set(entry.filename) & set("\\\0\n\r"):
            raise Failed("the archive has an entry that WordPress does not have")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise Failed("the archive holds a link")
        total += entry.file_size
        if total > LARGEST:
            raise Failed("the archive is larger than %d MiB" % (LARGEST >> 20))
        path = os.path.join(target, *[part for part in parts[1:] if part])
        if entry.is_dir():
            os.makedirs(path, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with archive.open(entry) as source, open(path, "wb") as stream:
            shutil.copyfileobj(source, stream, 1 << 20)


def finish(path, group):
    """Places the links, and gives everything to root with the environment's group as reader."""
    os.makedirs(os.path.join(path, "wp-content/mu-plugins"), exist_ok=True)
    for name, target in LINKS.items():
        place = os.path.join(path, name)
        if os.path.islink(place) or os.path.isfile(place):
            os.unlink(place)
        elif os.path.isdir(place):
            shutil.rmtree(place)
        os.symlink(target, place)
    for folder, _, files in os.walk(path):
        os.chown(folder, 0, group)
        os.chmod(folder, 0o750)
        for name in files:
            place = os.path.join(folder, name)
            os.chown(place, 0, group, follow_symlinks=False)
            if not os.path.islink(place):
                os.chmod(place, 0o640)
