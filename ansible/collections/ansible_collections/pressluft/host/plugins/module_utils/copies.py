"""Copying what a tenant has from one of its environments to another: its tables and its uploads.

Nobody trusts what is copied. Each program of a copy runs as the user of its environment; the tables are read and
written by accounts of the database that live as long as the copy and may do in the one database what it takes. They
may make no triggers, views, routines or events, so none come along. A copy is counted before it begins, and ends when
it takes more time or more room than it was counted for.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import time

from ansible_collections.pressluft.host.plugins.module_utils import (
    accounts,
    below,
    mariadb,
    pipeline,
    rewriting,
    tenant,
)
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed

# All of a copy, addresses too: others wait for the node's lock for 900 s.
SECONDS = 780
COUNT_SECONDS = 60
# A server that makes an index of a large table says nothing meanwhile.
TABLES_STILL = 300
UPLOADS_STILL = 30
# A byte a second is no progress. A slow disk that holds nothing but small files manages ten times as much.
LEAST = 100 << 10
RESERVE = 512 << 20
FILES = 2_000_000
# What tar adds to each file, with a long name and a map of holes.
PER_FILE = 4096
ENGINES = ("InnoDB", "MyISAM", "Aria", "MEMORY")
TEMPORARY = "pressluft_"
# What the database takes for one of them, and for nobody else.
TEMPORARY_NAME = "^%s[0-9a-f]{16}$" % TEMPORARY
READER = "SELECT, LOCK TABLES"
WRITER = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, LOCK TABLES"
NAMED = 20
# Places where something could not be rewritten, of which the program tells so many.
PLACES = 200
DATA = "/var/lib/mysql"


def tables(site):
    """What can be copied, and in words what cannot: a pair of lists. Names may be anything."""
    schema = mariadb.literal(mariadb.checked(site.system))
    rows = mariadb.query(
        "SELECT 'table', HEX(TABLE_NAME), TABLE_TYPE, IFNULL(ENGINE, ''), IFNULL(DATA_LENGTH + INDEX_LENGTH, 0) "
        "FROM information_schema.TABLES WHERE TABLE_SCHEMA = {0} ORDER BY TABLE_NAME;\n"
        "SELECT 'trigger', HEX(TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {0};\n"
        "SELECT 'routine', HEX(ROUTINE_NAME) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {0};\n"
        "SELECT 'event', HEX(EVENT_NAME) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {0};\n".format(schema)
    )
    copied, left = [], []
    for row in rows:
        name = mariadb.decoded(row[1])
        kind = row[0] if row[0] != "table" or row[2] == "BASE TABLE" else row[2].lower()
        if kind != "table":
            left.append("%s `%s`" % (kind, accounts.shown(name)))
        elif row[3] in ENGINES:
            copied.append((name, row[3], int(row[4])))
        else:
            left.append("table `%s` of the engine `%s`" % (accounts.shown(name), accounts.shown(row[3])))
    return copied, left


class Time:
    """What is left of the time of a copy."""

    def __init__(self):
        self.end = time.monotonic() + SECONDS

    def left(self):
        """The seconds that are left, one at least. Raises `Failed` when there are none."""
        seconds = self.end - time.monotonic()
        if seconds <= 0:
            raise Failed("it took longer than %d s" % SECONDS)
        return max(1, int(seconds))


@contextlib.contextmanager
def account(system, privileges):
    """The name and the password of a database account that may do this much in one database, for as long as this runs."""
    name, password = TEMPORARY + secrets.token_hex(8), secrets.token_hex(24)
    limits = "MAX_USER_CONNECTIONS 4 MAX_STATEMENT_TIME %d" % SECONDS
    mariadb.query(
        "CREATE USER '%s'@localhost IDENTIFIED VIA mysql_native_password USING '%s' WITH %s;\n"
        "GRANT %s ON `%s`.* TO '%s'@localhost;\n"
        % (name, mariadb.password_hash(password), limits, privileges, mariadb.pattern(mariadb.checked(system)), name)
    )
    try:
        yield name, password
    finally:
        drop(name)


def drop(name):
    """Removes a temporary account and what it is doing."""
    mariadb.query("KILL USER '{0}'@localhost;\nDROP USER IF EXISTS '{0}'@localhost;\n".format(mariadb.checked(name)))


def drop_leftovers():
    """Removes the temporary accounts of copies that were killed; the node's lock says that none of them runs."""
    rows = mariadb.query(
        "SELECT User FROM mysql.global_priv WHERE User REGEXP '%s' AND Host = 'localhost';\n" % TEMPORARY_NAME
    )
    for row in rows:
        drop(row[0])


def copy_tables(source, target, reader, clock):
    """Streams the tables of one environment into the database of another; what was left out, in words.

    `reader` is an account that may read the source. `clock` is the `Time` of the copy.
    """
    copied, left = tables(source)
    room = room_for(DATA, sum(size for _, _, size in copied), "the database `%s`" % source.system)
    with account(target.system, WRITER) as writer:
        dump = mariadb.WITH_PASSWORD + dump_command(source.system, reader[0], copied)
        load = mariadb.WITH_PASSWORD + mariadb.CLIENT
        load += ["--batch", "--user=" + writer[0], "--database=" + mariadb.checked(target.system)]
        seconds = clock.left()
        codes = pipeline.run(
            lambda **streams: tenant.start(source, dump, seconds, **streams),
            lambda **streams: tenant.start(target, load, seconds, **streams),
            pipeline.Limits(seconds, TABLES_STILL, room, LEAST),
            "the copy of the database",
            given=(reader[1], writer[1]),
        )
    refuse(codes, "the database")
    return left


def dump_command(database, user, copied):
    """One consistent picture: a transaction, or locks where a table's engine has no transactions."""
    consistent = "--single-transaction" if all(engine == "InnoDB" for _, engine, _ in copied) else "--lock-tables"
    options = [consistent, "--quick", "--hex-blob", "--skip-triggers", "--skip-routines", "--skip-events"]
    options += ["--skip-comments", "--no-tablespaces", "--default-character-set=utf8mb4", "--user=" + user]
    return ["mariadb-dump"] + mariadb.QUIET[:-1] + options + ["--", database] + [name for name, _, _ in copied]


def rewrite_addresses(site, old_urls, new_url, but, seconds):
    """Replaces the old addresses of a copy in all tables, but for one of ours; how many rows, and in words what was left.

    The program is started as the tenant, and what it says is what a tenant says.
    """
    if not rewriting.Rules(old_urls, new_url).old:
        return 0, []
    client = mariadb.CLIENT + mariadb.ROWS + ["--unbuffered", "--force", "--max-allowed-packet=1G"]
    client += ["--user=" + mariadb.checked(site.system), "--database=" + mariadb.checked(site.system)]
    values = {"client": client, "old": old_urls, "new": new_url, "but": but, "most": PLACES}
    program = "%s\n%s\nmain(json.loads(bytes.fromhex('%s')))\n"
    source = rewriting.__spec__.loader.get_source(rewriting.__name__)
    program %= (site.password, source, json.dumps(values).encode("utf-8").hex())
    argv = mariadb.WITH_PASSWORD + [sys.executable, "-I", "-S", "-"]
    done = tenant.run(site, argv, program, seconds, label="the rewriting of addresses")
    try:
        answer = json.loads(done.stdout.rpartition("\x1e")[2])
        rows, left, more = int(answer["rows"]), answer["left"], int(answer["more"])
        told = [left_in(*place) for place in left[:PLACES]]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise Failed("the rewriting of addresses did not say how it went")
    return max(rows, 0), told + (["%d more places" % more] if more > 0 else [])


def left_in(table, column, why, count):
    place = accounts.shown(str(table)) + (".%s" % accounts.shown(str(column)) if column else "")
    return "`%s`: %s (%d)" % (place, accounts.shown(str(why)), int(count))


def copy_uploads(source, target, clock):
    """Packs as the one user, unpacks as the other; holes of files stay holes. `clock` is the `Time` of the copy."""
    here = os.path.join(source.root, "shared/uploads")
    there = os.path.join(target.root, "shared/uploads")
    size, files = count(here)
    room = room_for(there, size + files * PER_FILE, "`%s`" % here)
    # Counted and packed are two moments: what grows between them does not grow without end.
    most = min(room, size + size // 4 + files * PER_FILE + (64 << 20))
    pack = ["tar", "--create", "--file=-", "--sparse", "--mode=a-st", "--directory=" + here, "."]
    unpack = ["tar", "--extract", "--file=-", "--directory=" + there, "--no-same-owner", "--no-overwrite-dir"]
    seconds = clock.left()
    codes = pipeline.run(
        lambda **streams: tenant.start(source, pack, seconds, **streams),
        lambda **streams: tenant.start(target, unpack, seconds, writable=[there], **streams),
        pipeline.Limits(seconds, UPLOADS_STILL, most, LEAST),
        "the copy of the uploads",
    )
    # tar returns 1 when a file changed while it was read; uploads of a living site do.
    refuse([(0 if codes[0][0] == 1 else codes[0][0], codes[0][1]), codes[1]], "the uploads")


def count(folder):
    """The bytes that the files below a folder take, and their number."""
    size, files = 0, 1
    try:
        for _, status in below.entries(folder, COUNT_SECONDS, FILES):
            size += status.st_blocks * 512
            files += 1
    except Failed as error:
        raise Failed("it could not be counted: %s" % error)
    return size, files


def room_for(folder, size, what):
    """How many bytes a copy may take on the disk of a folder. Raises `Failed` when what is copied takes more."""
    disk = os.statvfs(folder)
    reserve = max(RESERVE, disk.f_blocks * disk.f_frsize // 20)
    room = disk.f_bavail * disk.f_frsize - reserve
    if size > room:
        raise Failed(
            "%s takes %d MiB, and `%s` has room for %d MiB with %d MiB kept free"
            % (what, size >> 20, folder, max(room, 0) >> 20, reserve >> 20)
        )
    return room


def refuse(codes, what):
    (source, complaint), (target, refusal) = codes
    if target != 0:
        raise Failed("the copy of %s was refused: %s" % (what, one_line(refusal) or "rc %d" % target))
    if source != 0:
        raise Failed("%s could not be read: %s" % (what, one_line(complaint) or "rc %d" % source))


def one_line(text):
    """The line of a message that names the error; the database client quotes whole statements before it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    return accounts.shown(named[0].partition(" near '")[0]) if named else ""
