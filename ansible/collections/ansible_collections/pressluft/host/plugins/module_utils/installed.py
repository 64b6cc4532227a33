"""What a release consists of: WordPress, its plugins and its themes, each with its version."""

from __future__ import annotations

import os
import re
import stat
from collections import namedtuple

from ansible_collections.pressluft.host.plugins.module_utils import served

# WordPress itself reads no more of a file for its head.
HEAD = 8 << 10
MOST = 1000
MOST_FILES = 50
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)
PLAIN = re.compile(r"[0-9A-Za-z.+_-]{1,40}", re.ASCII)

# `kind` is `core`, `plugin` or `theme`; `is_public` says that WordPress.org may be asked about it.
Component = namedtuple("Component", "kind slug version is_public")


def components(root, name):
    """All of a release that translations are made of. Plugins of a single file have no name to find them by."""
    folder = os.path.join(root, "releases", name)
    found = [Component("core", "", served.version(root, name), True)]
    for kind, below, head_of in (("plugin", "plugins", _plugin), ("theme", "themes", _theme)):
        place = os.path.join(folder, "wp-content", below)
        for slug in _folders(place):
            head = head_of(os.path.join(place, slug), slug)
            if head is not None:
                found.append(Component(kind, slug, _plain(head, b"Version"), _is_public(head)))
    return found


def _folders(place):
    try:
        with os.scandir(place) as entries:
            names = [entry.name for entry in entries if SLUG.fullmatch(entry.name) and entry.is_dir()]
    except OSError:
        return []
    return sorted(names)[:MOST]


def _plugin(folder, slug):
    """The head of a plugin's main file, which is mostly called like its directory."""
    own = slug + ".php"
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".php"))
    except OSError:
        return None
    for name in [own] * (own in names) + names[:MOST_FILES]:
        head = _head(os.path.join(folder, name))
        if _field(head, b"Plugin Name"):
            return head
    return None


def _theme(folder, slug):
    head = _head(os.path.join(folder, "style.css"))
    return head if _field(head, b"Theme Name") else None


def _head(path):
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            return stream.read(HEAD) if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else b""
    except OSError:
        return b""


def _field(head, name):
    match = re.search(rb"^[ \t/*#@]*%s:[ \t]*([^\r\n]*)" % name, head, re.MULTILINE | re.IGNORECASE)
    return match.group(1).strip() if match else b""


def _plain(head, name):
    text = _field(head, name).decode("ascii", "replace")
    return text if PLAIN.fullmatch(text) else None


def _is_public(head):
    """Whether its author does not say that it comes from elsewhere."""
    place = _field(head, b"Update URI").lower()
    return not place or re.match(rb"(https?://)?(www\.)?(wordpress|w)\.org/", place) is not None
