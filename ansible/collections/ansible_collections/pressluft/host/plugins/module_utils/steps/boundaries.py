"""What would let an environment's user get further than its place, and is there by nobody's document.

Only a look, and everything that it finds is somebody's doing: triggers, routines, events and views in the database and
strangers with rights there; rules of sudo, keys, and jobs of other schedulers for the user; and files with set-id bits.
Everything is looked at in bounds.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re

from ansible_collections.pressluft.host.plugins.module_utils import accounts, copies, mariadb, sudoers, tenant
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed

SHOWN = 50
LONGEST = 300
SECONDS = 30
SPOOLS = "/var/spool/cron"
LINGER = "/var/lib/systemd/linger"
TABLES = ("/etc/crontab", "/etc/cron.d")
UNITS = "/etc/systemd/system"
OURS = "pressluft-"
LARGEST = 1 << 20


def database(system):
    """Programs in the database, and accounts of others that may do something in it."""
    name = mariadb.literal(mariadb.checked(system))
    rows = mariadb.query(
        "SET SESSION max_statement_time = {1};\n"
        "SELECT 'view', HEX(TABLE_NAME), '' FROM information_schema.TABLES "
        "WHERE TABLE_SCHEMA = {0} AND TABLE_TYPE LIKE '%VIEW' LIMIT 20;\n"
        "SELECT 'trigger', HEX(TRIGGER_NAME), HEX(DEFINER) FROM information_schema.TRIGGERS "
        "WHERE TRIGGER_SCHEMA = {0} LIMIT 20;\n"
        "SELECT LOWER(type), HEX(name), HEX(definer) FROM mysql.proc WHERE db = {0} LIMIT 20;\n"
        "SELECT 'event', HEX(name), HEX(definer) FROM mysql.event WHERE db = {0} LIMIT 20;\n"
        "SELECT 'account', HEX(CONCAT(User, '@', Host)), '' FROM mysql.db "
        "WHERE User <> {0} AND User NOT REGEXP '{2}' AND {0} LIKE Db ESCAPE '\\' LIMIT 20;\n"
        "SELECT DISTINCT 'account', HEX(CONCAT(User, '@', Host)), '' FROM mysql.tables_priv "
        "WHERE User <> {0} AND Db = {0} LIMIT 20;\n".format(name, SECONDS, copies.TEMPORARY_NAME)
    )
    for kind, what, definer in rows:
        what, definer = accounts.shown(mariadb.decoded(what)), mariadb.decoded(definer)
        if kind == "account":
            yield "the database account `%s` has rights in the database `%s`" % (what, system)
        else:
            is_own = definer in ("", "%s@localhost" % system)
            foreign = "" if is_own else ", defined by `%s`" % accounts.shown(definer)
            yield "the database has the %s `%s`%s" % (kind, what, foreign)


def rules(user):
    """Rules of sudo that apply to the user."""
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    names = {user.pw_name, "#%d" % user.pw_uid} | {"%%#%d" % group for group in groups}
    for number in groups:
        try:
            names.add("%" + grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    for path, rule in sudoers.naming(names):
        yield "`%s` lets its user use sudo: `%s`" % (path, accounts.shown(rule))


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
    named = re.compile(r"^\s*(?:@\w+|(?:\S+\s+){4}\S+)\s+%s\s" % re.escape(user.pw_name), re.M)
    for table in TABLES:
        for path, status in listed(table) if os.path.isdir(table) else [(table, None)]:
            if named.search(beginning(path)):
                yield "`%s` starts something as its user" % path
    runs_as = re.compile(r"^\s*User\s*=\s*(?:%s|%d)\s*$" % (re.escape(user.pw_name), user.pw_uid), re.M)
    for path in units():
        if runs_as.search(beginning(path)):
            yield "`%s` starts something as its user, without our sandbox" % path


def units():
    """Services of the node that are none of ours, and what was added to those of ours."""
    for path, _ in listed(UNITS):
        if path.endswith(".service") and not os.path.basename(path).startswith(OURS):
            yield path
    with contextlib.suppress(OSError):
        for folder in sorted(os.listdir(UNITS)):
            if folder.endswith(".service.d"):
                for path, _ in listed(os.path.join(UNITS, folder)):
                    yield path


def listed(folder):
    """The files of a directory of the system, or nothing."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.path, entry.stat(follow_symlinks=False)) for entry in entries if entry.is_file())
    except OSError:
        return []


def beginning(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(LARGEST)
    except OSError:
        return ""


def files(site):
    """Files with set-id bits: nothing of a site needs them."""
    # The site's own files are looked at as the site; the pipe ends what would go on for long.
    script = 'find "$0" -xdev -type f -perm /6000 -print0 | head -c 8192'
    done = tenant.run(site, ["/bin/sh", "-c", script, site.root], timeout=SECONDS, check=False, label="find")
    for path in done.stdout.split("\0")[:-1]:
        yield "`%s` has set-id bits" % accounts.shown(path)


def carry_out(options, node):
    try:
        user = pwd.getpwnam(options["system"])
    except KeyError:
        # The account's own step says so.
        return {"changed": False}
    site = tenant.Tenant(options["system"], options["root"])
    looks = {rules: (user,), entrances: (user, site.root), files: (site,), database: (user.pw_name,)}
    found = []
    for look, arguments in looks.items():
        try:
            found += look(*arguments)
        except Failed as error:
            # What the others found is told all the same.
            node.warn("not everything could be looked at: %s" % error)
    found = list(dict.fromkeys(found))
    shown = [text[:LONGEST] for text in found[:SHOWN]]
    if len(found) > SHOWN:
        shown.append("and %d more" % (len(found) - SHOWN))
    return {"changed": False, "by_hand": shown} if shown else {"changed": False}
