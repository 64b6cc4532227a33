"""Which release an environment serves. Every run asks this, so it needs little."""

from __future__ import annotations

import os
import re

VERSION = re.compile(rb"\$wp_version\s*=\s*'([0-9A-Za-z.-]{1,32})'")


def current(root):
    """The name of the release that is served, or None."""
    try:
        target = os.readlink(os.path.join(root, "current"))
    except OSError:
        # There is none, or something else than a link.
        return None
    name = os.path.basename(target)
    present = os.path.isfile(os.path.join(root, "releases", name, "wp-load.php"))
    return name if present and target == "releases/" + name else None


def version(root, name):
    """The version of WordPress in a release, or None where it has none that can be read."""
    try:
        with open(os.path.join(root, "releases", name, "wp-includes/version.php"), "rb") as stream:
            match = VERSION.search(stream.read(1 << 16))
    except OSError:
        return None
    return match and match.group(1).decode("ascii")
