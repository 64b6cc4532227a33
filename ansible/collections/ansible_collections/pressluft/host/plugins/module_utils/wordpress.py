"""WordPress on the node: looking at it through its database and changing it through WP-CLI, both with its own rights."""

from __future__ import annotations

import json
import os
import re

from ansible_collections.pressluft.host.plugins.module_utils import accounts, mariadb, tenant
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, tail

PREFIX = "wp_"
# This table stands in a database from before its first change until it is whole. It is no part of WordPress, so no
# dump of another environment brings it along, and it goes where the database goes.
INCOMPLETE = "pressluft_incomplete"
WP_CLI = "/usr/local/bin/wp"
# It waits for locks first, and then has a file for each table to remove.
EMPTYING_SECONDS = 120
# The same that its pages have.
DISABLED = (
    "exec,passthru,shell_exec,system,proc_open,popen,pcntl_exec,pcntl_fork,pcntl_signal,dl,show_source,highlight_file,"
    "symlink,link,posix_kill,posix_setuid,posix_setgid,putenv"
)
# What WP-CLI says when it looks for its own files elsewhere, and the places in the code below an error.
NOISE = re.compile(r"open_basedir restriction in effect|^#\d+ ")
# What the site may write while a program of it runs.
WRITABLE = ("shared/uploads", "tmp", "mail", "logs")


class Site:
    """One installation: its user, its database of the same name with its password, and the PHP that runs it."""

    def __init__(self, system, root, php, password):
        self.system = system
        self.root = root
        self.php = php
        self.password = password

    def wp(self, arguments, stdin=None, timeout=120, plugins=False):
        """Runs WP-CLI as the environment's own user, within the limits of a tenant."""
        # WP-CLI looks for its own files beside those of the site, and for a configuration in the directory it starts in.
        places = ":".join([self.root + "/", WP_CLI, "/tmp/", "/dev/null", tenant.HOME])
        settings = {"memory_limit": "512M", "open_basedir": places, "disable_functions": DISABLED, "ffi.enable": "0"}
        argv = ["/usr/bin/php" + self.php]
        argv += [word for pair in settings.items() for word in ("-d", "%s=%s" % pair)]
        argv += [WP_CLI, "--path=%s/current" % self.root, "--no-color"]
        if not plugins:
            argv += ["--skip-plugins", "--skip-themes"]
        label = " ".join(["wp"] + [word for word in arguments[:2] if not word.startswith("-")])
        writable = [os.path.join(self.root, name) for name in WRITABLE]
        done = tenant.run(
            self, argv + arguments, stdin, timeout, check=False, label=label, writable=writable, network=True
        )
        if done.returncode != 0:
            lines = done.stderr.splitlines(keepends=True)
            done.stderr = "".join(line for line in lines if not NOISE.search(line))
            raise Failed("`%s` failed with rc %d: %s" % (label, done.returncode, tail(done)))
        return done

    def evaluate(self, code, values, timeout=120):
        """Runs PHP inside of WordPress with `$values`; returns what it prints, parsed."""
        # The values travel in the program text, which goes in through standard input: no argument list shows them.
        payload = json.dumps(values).encode("utf-8").hex()
        program = "<?php $values = json_decode( hex2bin( '%s' ), true );\n%s" % (payload, code)
        done = self.wp(["eval-file", "-"], stdin=program, timeout=timeout)
        try:
            return json.loads(done.stdout.rpartition("\x1e")[2])
        except (ValueError, RecursionError):
            raise Failed("WordPress did not answer as it should")

    def begin(self):
        """Marks an empty database until `end`, or empties one that a run before this one had marked.

        Tables without the mark are somebody's data, however little they look like WordPress: they stay.
        """
        rows = mariadb.query(
            "SELECT HEX(TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s;\n"
            % mariadb.literal(self.system)
        )
        names = [mariadb.decoded(row[0]) for row in rows]
        if names and INCOMPLETE not in names:
            raise Failed(
                "the database `%s` holds %d tables but no whole installation of WordPress, and no run of ours was "
                "interrupted in it; nothing was touched: repair it, or empty it to have WordPress installed anew"
                % (self.system, len(rows))
            )
        if len(names) > 1:
            # Whatever is in it goes, by whatever name and of whatever kind.
            again = "DROP DATABASE `%s`;\n%s;\n"
            statements = again % (mariadb.checked(self.system), accounts.create_database(self.system))
            mariadb.query(statements, seconds=EMPTYING_SECONDS)
        mariadb.query("CREATE TABLE IF NOT EXISTS %s (since TIMESTAMP NOT NULL);" % INCOMPLETE, database=self.system)

    def end(self):
        """From here on the database counts."""
        mariadb.query("DROP TABLE IF EXISTS %s;" % INCOMPLETE, database=self.system)

    def options(self, names, account=None):
        """What the options table holds, as stored; None without a whole installation.

        `account` is the name and the password of another account than the environment's own.
        """
        user, password = account or (self.system, self.password)
        return self.found(mariadb.ask(self, password, self.options_query(names), user))

    def look(self, names):
        """The rows about the database's account, and what `options` would return or raise, asked for at the same time.

        The one is asked as root, the other as the environment, whose account may not be there yet.
        """
        with mariadb.asked(self, self.password, self.options_query(names)) as answer:
            account = mariadb.query(accounts.rights_query(self.system))
            try:
                return account, self.found(answer())
            except Failed as error:
                return account, error

    @staticmethod
    def options_query(names):
        """Statements that read the options only where they are in a table, and not in something that computes them."""
        listed = ", ".join(mariadb.text(name) for name in ["siteurl"] + sorted(names))
        read = "SELECT 'option', HEX(option_name), HEX(option_value) FROM %soptions WHERE option_name IN (%s)"
        tables = "FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME"
        return (
            "SELECT 'table', TABLE_NAME, TABLE_TYPE {tables} IN ('{incomplete}', '{prefix}options');\n"
            "SET @plain = (SELECT COUNT(*) {tables} = '{prefix}options' AND TABLE_TYPE = 'BASE TABLE');\n"
            "EXECUTE IMMEDIATE IF(@plain = 1, CONVERT(X'{read}' USING utf8mb4), 'DO 0');\n"
        ).format(
            tables=tables, incomplete=INCOMPLETE, prefix=PREFIX, read=(read % (PREFIX, listed)).encode("utf-8").hex()
        )

    def found(self, rows):
        tables = {row[1]: row[2] for row in rows if row[0] == "table"}
        kind = tables.get(PREFIX + "options", "BASE TABLE")
        if kind != "BASE TABLE":
            raise Failed("`%soptions` of the database `%s` is no table but a %s" % (PREFIX, self.system, kind.lower()))
        if INCOMPLETE in tables:
            return None
        found = {mariadb.decoded(row[1]): mariadb.decoded(row[2]) for row in rows if row[0] == "option"}
        return found if found.get("siteurl") else None
