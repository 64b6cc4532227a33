"""Which rules of sudo name a user: by name or number, through a group, through an alias, or as everybody.

sudo itself is asked what it allows; the files are read to say where that is written. Both are read to their end, or
`Failed` or `OSError` says that they were not.
"""

from __future__ import annotations

import os
import re
import shutil

from ansible_collections.pressluft.host.plugins.module_utils.process import PATH, Failed, run

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
    if shutil.which("sudo", path=PATH) is None:
        return []
    done = run(["sudo", "--non-interactive", "--list", "--other-user=%s" % user], check=False, timeout=20)
    _, allows, rules = done.stdout.partition("may run the following commands")
    if not allows and "is not allowed to run sudo" not in done.stdout:
        raise Failed("sudo did not say what it lets `%s` do (rc %d)" % (user, done.returncode))
    return [line.strip() for line in rules.splitlines()[1:] if line.strip()]


def _words(text):
    return {word.strip().strip('"') for word in text.split(",")}


def _lines(path, left):
    """The path and the text of every rule and alias, of included files too, as many files as are `left`."""
    left[0] -= 1
    if left[0] < 0:
        raise Failed("the rules of sudo stand in more than %d files, or include themselves" % FILES)
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read(LARGEST + 1)
    except FileNotFoundError:
        return
    if len(text) > LARGEST:
        raise Failed("`%s` is larger than %d KiB" % (path, LARGEST >> 10))
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
    except FileNotFoundError:
        return []
    return [os.path.join(target, name) for name in names if "." not in name and not name.endswith("~")]
