"""Which rules of sudo name a user: by name or number, through a group, through an alias, or as everybody.

sudo itself is asked what it allows; the files are read to say where that is written.
"""

from __future__ import annotations

import os
import re

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run

MAIN = "/etc/sudoers"
INCLUDE = re.compile(r"[@#](include|includedir)\s+(.+)")
LARGEST = 1 << 20
FILES = 200


def naming(names, main=MAIN):
    """The rules, each with its file, that apply to one of `names`: users, `%groups`, `#numbers` and `%#numbers`."""
    rules, aliases = [], {}
    for path, line in _lines(main, [FILES]):
        if line.startswith("User_Alias"):
            for part in line[len("User_Alias") :].split(":"):
                alias, _, members = part.partition("=")
                aliases.setdefault(alias.strip(), set()).update(_words(members))
        elif "=" in line and not re.match(r"(Defaults|Host_Alias|Runas_Alias|Cmnd_Alias|Cmd_Alias)\b", line):
            rules.append((path, line))
    names = set(names) | {"ALL"}
    # An alias may stand for others; after as many rounds as there are aliases, nothing is added any more.
    for _ in aliases:
        names |= {alias for alias, members in aliases.items() if members & names}
    return [(path, line) for path, line in rules if _words(re.sub(r"\s*,\s*", ",", line).split(None, 1)[0]) & names]


def allowed(user):
    """What sudo lets a user do, in its own words; nothing where there is no sudo."""
    try:
        done = run(["sudo", "--non-interactive", "--list", "--other-user=%s" % user], check=False, timeout=20)
    except Failed:
        return []
    _, _, rules = done.stdout.partition("may run the following commands")
    return [line.strip() for line in rules.splitlines()[1:] if line.strip()]


def _words(text):
    return {word.strip().strip('"') for word in text.split(",")}


def _lines(path, left):
    """The path and the text of every rule and alias, of included files too, as many files as are `left`."""
    left[0] -= 1
    if left[0] < 0:
        return
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read(LARGEST)
    except OSError:
        return
    for line in text.replace("\\\n", " ").split("\n"):
        line = line.strip()
        include = INCLUDE.match(line)
        if include:
            for place in _included(path, *include.groups()):
                yield from _lines(place, left)
        elif line and not (line.startswith("#") and not line[1:2].isdigit()):
            yield path, line


def _included(path, word, target):
    host = os.uname().nodename.partition(".")[0]
    target = os.path.join(os.path.dirname(path), target.strip().strip('"').replace("%h", host))
    if word == "include":
        return [target]
    try:
        names = sorted(os.listdir(target))
    except OSError:
        return []
    return [os.path.join(target, name) for name in names if "." not in name and not name.endswith("~")]
