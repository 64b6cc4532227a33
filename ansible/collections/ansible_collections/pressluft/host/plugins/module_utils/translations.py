"""Where WordPress.org has the language packs of WordPress, a plugin or a theme."""

from __future__ import annotations

import io
import json
import re
from urllib.parse import urlencode

from ansible_collections.pressluft.host.plugins.module_utils import download
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed

API = "https://api.wordpress.org/translations/%s/1.0/?%s"
KINDS = {"core": "core", "plugin": "plugins", "theme": "themes"}
# What it answers about WordPress itself, in some two hundred languages, has a tenth of it.
LARGEST = 1 << 20
PACKAGE = re.compile(r"https://downloads\.wordpress\.org/translation/[A-Za-z0-9._/+-]{1,300}", re.ASCII)


def address(kind, slug, version, locale, allowed, seconds):
    """The address of a language pack, or None where there is no translation of it.

    Many plugins and themes are none of WordPress.org's; what it says about one that it does not know is as good as nothing.
    """
    words = {"version": version or ""}
    if kind != "core":
        words["slug"] = slug
    answer = io.BytesIO()
    try:
        download.download(API % (KINDS[kind], urlencode(words)), answer, allowed, LARGEST, seconds)
        found = json.loads(answer.getvalue())["translations"]
        packages = [entry["package"] for entry in found if entry["language"] == locale]
    except (download.Absent, ValueError, KeyError, TypeError, RecursionError):
        if kind != "core":
            return None
        raise Failed("`api.wordpress.org` does not answer as it should")
    if not packages:
        return None
    if not isinstance(packages[0], str) or PACKAGE.fullmatch(packages[0]) is None:
        raise Failed("`api.wordpress.org` names a language pack at another place")
    return packages[0]
