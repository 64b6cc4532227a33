"""WordPress on the node: looking at it through the database, changing it through WP-CLI."""

from __future__ import annotations

import json
import os

from ansible_collections.pressluft.host.plugins.module_utils import mariadb
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, as_user, run

PREFIX = "wp_"
# This table stands in a database from before its first change until it is whole. It is no part of WordPress, so no
# dump of another environment brings it along, and it goes where the database goes.
INCOMPLETE = "pressluft_incomplete"


class Site:
    """One installation: its user, its database of the same name, and the PHP that runs it."""

    def __init__(self, system, root, php):
        self.system = system
        self.root = root
        self.php = php

    def wp(self, arguments, stdin=None, timeout=300, check=True, plugins=False):
        """Runs WP-CLI as the environment's own user."""
        argv = ["/usr/bin/php" + self.php, "-d", "memory_limit=512M", "/usr/local/bin/wp"]
        argv += ["--path=%s/current" % self.root, "--no-color"]
        if not plugins:
            argv += ["--skip-plugins", "--skip-themes"]
        command = as_user(self.system, self.root, argv + arguments)
        label = " ".join(["wp"] + [word for word in arguments[:2] if not word.startswith("-")])
        folder = os.path.join(self.root, "current")
        return run(command, stdin=stdin, timeout=timeout, check=check, cwd=folder, label=label)

    def evaluate(self, code, values, timeout=300):
        """Runs PHP inside of WordPress with `$values`; returns what it prints, parsed."""
        # The values travel in the program text, which goes in through standard input: no argument list shows them.
        payload = json.dumps(values).encode("utf-8").hex()
        program = "<?php $values = json_decode( hex2bin( '%s' ), true );\n%s" % (payload, code)
        done = self.wp(["eval-file", "-"], stdin=program, timeout=timeout)
        try:
            return json.loads(done.stdout.rpartition("\x1e")[2])
        except ValueError:
            raise Failed("WordPress did not answer as it should")

    def begin(self):
        """Marks an empty database until `end`, or empties one that a run before this one had marked.

        Tables without the mark are somebody's data, however little they look like WordPress: they stay.
        """
        rows = mariadb.query(
            "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s;"
            % mariadb.literal(self.system),
            database=self.system,
        )
        if rows and INCOMPLETE not in [name for name, _ in rows]:
            raise Failed(
                "the database `%s` holds %d tables but no whole installation of WordPress, and no run of ours was "
                "interrupted in it; nothing was touched: repair it, or empty it to have WordPress installed anew"
                % (self.system, len(rows))
            )
        mariadb.query("CREATE TABLE IF NOT EXISTS %s (since TIMESTAMP NOT NULL);" % INCOMPLETE, database=self.system)
        drops = [
            "DROP %s `%s`;\n" % ("VIEW" if kind == "VIEW" else "TABLE", name.replace("`", "``"))
            for name, kind in rows
            if name != INCOMPLETE
        ]
        if drops:
            mariadb.query("SET foreign_key_checks = 0;\n" + "".join(drops), database=self.system)

    def end(self):
        """From here on the database counts."""
        mariadb.query("DROP TABLE IF EXISTS %s;" % INCOMPLETE, database=self.system)

    def options(self, names):
        """What the options table holds, as stored; None without a whole installation."""
        rows = self.ask("", names)
        return None if rows is None else self.found(rows)

    def look(self, names):
        """The rows about the database's account and what `options` would return, asked for in one go.

        None for the rows when the database is not whole; then it has to be asked for each alone.
        """
        rows = self.ask(mariadb.account_query(self.system), names)
        return (None, None) if rows is None else (rows, self.found(rows))

    def ask(self, before, names):
        """The rows of statements that come before, and of those about the options; None when there are no such tables."""
        listed = ", ".join(mariadb.text(name) for name in ["siteurl"] + sorted(names))
        try:
            return mariadb.query(
                before + "SELECT 'table', TABLE_NAME FROM information_schema.TABLES "
                "WHERE TABLE_SCHEMA = %s AND TABLE_NAME = '%s';\n"
                "SELECT 'option', option_name, option_value FROM %soptions WHERE option_name IN (%s);"
                % (mariadb.literal(self.system), INCOMPLETE, PREFIX, listed),
                database=self.system,
            )
        except Failed as error:
            if "ERROR 1146" in str(error) or "ERROR 1049" in str(error):
                return None
            raise

    @staticmethod
    def found(rows):
        if ("table", INCOMPLETE) in rows:
            return None
        found = {row[1]: row[2] for row in rows if row[0] == "option"}
        return found if found.get("siteurl") else None
