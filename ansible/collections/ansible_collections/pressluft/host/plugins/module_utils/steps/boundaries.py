"""What would let an environment's user get further than its place, and is there by nobody's document.

Only a look, and everything that it finds is somebody's doing: triggers, routines, events and views in the database and
strangers with rights there; rules of sudo, keys, and jobs of other schedulers for the user; what is added to its units;
and files with set-id bits, or that others may read. Services are asked what they make of their files, where they can
be; their files are searched for the user's name besides. Everything is looked at in bounds.

A look comes to its end or is told as one that was not made: a failure, a bound that was met and an answer without its
end are findings, because nothing found is what a node is trusted for.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import stat

from ansible_collections.pressluft.host.plugins.module_utils import accounts, below, copies, mariadb, sudoers
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run

SHOWN = 50
# Of one look, so that no look pushes what others found out of sight.
SHOWN_OF_ONE = 20
LONGEST = 300
SECONDS = 30
SPOOLS = "/var/spool/cron"
LINGER = "/var/lib/systemd/linger"
LARGEST = 1 << 20
# So many files of a directory are looked at.
MOST_FILES = 5000
# Where what starts programs, lets users in, or gives them rights is written down.
PLACES = (
    "/etc/crontab",
    "/etc/anacrontab",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    SPOOLS + "/crontabs",
    "/etc/systemd/system",
    "/etc/systemd/system.control",
    "/run/systemd/system",
    "/run/systemd/system.control",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/etc/ssh/sshd_config",
    "/etc/ssh/sshd_config.d",
    "/etc/doas.conf",
    "/etc/polkit-1/rules.d",
    "/etc/polkit-1/localauthority",
    "/etc/subuid",
    "/etc/subgid",
)
UNITS = (
    "pressluft-php-%s.socket",
    "pressluft-php-%s.service",
    "pressluft-cron-%s.timer",
    "pressluft-cron-%s.service",
    "pressluft-purge-%s.path",
    "pressluft-purge-%s.service",
    "pressluft-redis-%s.service",
)
KEYS = re.compile(r"^\s*AuthorizedKeysFile\s+(.+)$", re.M | re.I)
LOGS = "/var/log/nginx"
DATA = "/var/lib/mysql"


def database(system):
    """Programs in the database, and accounts of others that may do something in it."""
    name = mariadb.literal(mariadb.checked(system))
    rows = mariadb.query(
        "SELECT 'view', HEX(TABLE_NAME), '' FROM information_schema.TABLES "
        "WHERE TABLE_SCHEMA = {0} AND TABLE_TYPE LIKE '%VIEW' LIMIT 20;\n"
        "SELECT 'trigger', HEX(TRIGGER_NAME), HEX(DEFINER) FROM information_schema.TRIGGERS "
        "WHERE TRIGGER_SCHEMA = {0} LIMIT 20;\n"
        "SELECT LOWER(type), HEX(name), HEX(definer) FROM mysql.proc WHERE db = {0} LIMIT 20;\n"
        "SELECT 'event', HEX(name), HEX(definer) FROM mysql.event WHERE db = {0} LIMIT 20;\n"
        "SELECT 'foreign event', HEX(CONCAT(db, '.', name)), HEX(definer) FROM mysql.event "
        "WHERE db <> {0} AND INSTR(body, {0}) > 0 LIMIT 20;\n"
        "SELECT 'account', HEX(CONCAT(User, '@', Host)), '' FROM mysql.db WHERE User <> {0} "
        "AND NOT (Host = 'localhost' AND User REGEXP '{1}') AND {0} LIKE Db ESCAPE '\\' LIMIT 20;\n"
        "SELECT DISTINCT 'account', HEX(CONCAT(User, '@', Host)), '' FROM mysql.tables_priv "
        "WHERE User <> {0} AND Db = {0} LIMIT 20;\n".format(name, copies.TEMPORARY_NAME),
        seconds=SECONDS,
    )
    for kind, what, definer in rows:
        what, definer = accounts.shown(mariadb.decoded(what)), mariadb.decoded(definer)
        if kind == "account":
            yield "the database account `%s` has rights in the database `%s`" % (what, system)
        else:
            is_own = definer in ("", "%s@localhost" % system)
            foreign = "" if is_own else ", defined by `%s`" % accounts.shown(definer)
            yield "the database has the %s `%s`%s" % (kind, what, foreign)
    for path in triggers_elsewhere(system):
        yield "the trigger in `%s` is about its database" % accounts.shown(path)


def triggers_elsewhere(system):
    """The files of triggers in other databases that name this one."""
    with os.scandir(DATA) as folders:
        others = sorted(folder.path for folder in folders if folder.name != system and folder.is_dir())
    for folder in others:
        for path, _ in listed(folder):
            if path.endswith(".TRG") and system in text_of(path):
                yield path


def rules(user):
    """Rules of sudo that apply to the user."""
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    names = {user.pw_name, "#%d" % user.pw_uid} | {"%%#%d" % group for group in groups}
    for number in groups:
        try:
            names.add("%" + grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    written = sudoers.naming(names)
    for path, rule in written:
        yield "`%s` lets its user use sudo: `%s`" % (path, accounts.shown(rule))
    # There are more ways to write a user than a reader of the files knows.
    allowed = sudoers.allowed(user.pw_name)
    if len(allowed) > len(written):
        for rule in allowed:
            yield "its user may use sudo: `%s`" % accounts.shown(rule)


def entrances(user, root):
    """Ways in for the user, and schedulers that work for it."""
    places = {
        "keys to log in with": os.path.join(root, ".ssh"),
        "a crontab": os.path.join(SPOOLS, "crontabs", user.pw_name),
        "processes that stay without a session": os.path.join(LINGER, user.pw_name),
    }
    for what, place in places.items():
        if os.path.lexists(place):
            yield "its user has %s: `%s`" % (what, place)
    for folder in (os.path.join(SPOOLS, "atjobs"), "/var/spool/at"):
        if any(status.st_uid == user.pw_uid for _, status in listed(folder)):
            yield "its user has jobs of at in `%s`" % folder
    for path in authorized_keys(user):
        yield "its user has keys to log in with: `%s`" % path
    name, number = re.escape(user.pw_name), user.pw_uid
    as_number = r"(?:User|Group|SupplementaryGroups)\s*=[^\n]*\b%d\b|--reuid[= ]%d\b" % (number, number)
    named = re.compile(r"(?<![\w-])%s(?![\w-])|%s" % (name, as_number))
    own = {unit % user.pw_name for unit in UNITS}
    for place in PLACES:
        for path in within(place):
            real = os.path.realpath(path)
            is_own = os.path.basename(real) in own and os.path.dirname(real) == "/etc/systemd/system"
            if not is_own and named.search(text_of(path).replace("\\\n", " ")):
                yield "`%s` names its user" % path


def authorized_keys(user):
    """Files of keys that sshd reads for the user, wherever it is told to look."""
    for place in ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d"):
        for path in within(place):
            for found in KEYS.findall(text_of(path)):
                for word in found.split():
                    keys = word.strip('"').replace("%u", user.pw_name).replace("%U", str(user.pw_uid))
                    if "%u" in word.lower() and os.path.isfile(keys):
                        yield keys


def units(user):
    """What is added to the units of the environment, or takes their place."""
    names = [unit % user.pw_name for unit in UNITS]
    done = run(["systemctl", "show", "--property=Id,FragmentPath,DropInPaths", "--"] + names, timeout=SECONDS)
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in done.stdout.split("\n\n")
    ]
    if len([block for block in blocks if "Id" in block]) != len(names):
        raise Failed("the service manager did not tell of each unit")
    for found in blocks:
        unit, place = found.get("Id", ""), found.get("FragmentPath", "")
        for path in found.get("DropInPaths", "").split():
            if not path.startswith("/usr/lib/"):
                yield "`%s` changes its unit `%s`" % (path, unit)
        if place and place != "/etc/systemd/system/" + unit:
            yield "`%s` takes the place of its unit `%s`" % (place, unit)


def within(place):
    """The files of a place, those of the directories in it too."""
    if not os.path.isdir(place):
        return [place]
    found = []
    for folder, folders, files in os.walk(place, onerror=unless_gone):
        folders.sort()
        found += [os.path.join(folder, name) for name in sorted(files)]
        if len(found) > MOST_FILES:
            raise Failed("`%s` holds more than %d files" % (place, MOST_FILES))
    # Also what a link leads to, if that is a file.
    return [path for path in found if os.path.isfile(path)]


def unless_gone(error):
    if not isinstance(error, FileNotFoundError):
        raise error


def exposed(user):
    """What is made by services of ours, and closed to others."""
    places = [place % user.pw_name for place in ("/run/pressluft-php/%s.sock", "/run/pressluft-redis/%s")]
    places += [os.path.join(place, user.pw_name) for place in (DATA, "/var/cache/pressluft")]
    places += [path for path, _ in listed(LOGS) if os.path.basename(path).startswith(user.pw_name + ".")]
    for path in places:
        with contextlib.suppress(FileNotFoundError):
            mode = os.lstat(path).st_mode
            # `x` alone on a directory shows nothing in it.
            if mode & (0o006 if stat.S_ISDIR(mode) else 0o007):
                yield "`%s` is open to others: %04o" % (path, stat.S_IMODE(mode))


def listed(folder):
    """The files of a directory of the system, or nothing."""
    try:
        with os.scandir(folder) as entries:
            found = [entry.path for entry in entries if entry.is_file()]
    except FileNotFoundError:
        return []
    statuses = []
    for path in sorted(found):
        with contextlib.suppress(FileNotFoundError):
            statuses.append((path, os.lstat(path)))
    return statuses


def text_of(path):
    """The text of a file of the system; of one that is not there, nothing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read(LARGEST + 1)
    except FileNotFoundError:
        return ""
    if len(text) > LARGEST:
        raise Failed("`%s` is larger than %d KiB" % (accounts.shown(path), LARGEST >> 10))
    return text


def files(root):
    """Files with set-id bits: nothing of a site needs them."""
    for path, status in below.entries(root, SECONDS):
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o6000:
            yield "`%s` has set-id bits" % accounts.shown(path)


def carry_out(options, node):
    try:
        user = pwd.getpwnam(options["system"])
    except KeyError:
        # The account's own step says so.
        return {"changed": False}
    root = options["root"]
    looks = {rules: (user,), entrances: (user, root), units: (user,), exposed: (user,), files: (root,)}
    looks[database] = (user.pw_name,)
    # First what was not looked at: however much the others found, it is among what is shown.
    not_made, found, more = [], [], 0
    for look, arguments in looks.items():
        told = []
        try:
            for text in look(*arguments):
                told.append(text)
        except (Failed, OSError) as error:
            # A site can hold up a look, so one that was not made is a finding: nobody may take it for a clean one.
            not_made.append("not everything could be looked at: %s" % error)
        told = list(dict.fromkeys(told))
        found += told[:SHOWN_OF_ONE]
        more += len(told[SHOWN_OF_ONE:])
    found = list(dict.fromkeys(not_made + found))
    shown = [text[:LONGEST] for text in found[:SHOWN]]
    more += len(found[SHOWN:])
    if more:
        shown.append("and %d more" % more)
    return {"changed": False, "by_hand": shown} if shown else {"changed": False}
