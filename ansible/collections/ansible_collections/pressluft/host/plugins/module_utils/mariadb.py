"""The database server of the node, through root's own socket login."""

from __future__ import annotations

import hashlib
import re

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
CLIENT = ["mariadb", "--no-defaults", "--protocol=socket", "--socket=/run/mysqld/mysqld.sock", "--user=root"]
# What an application may do in its own database, and nothing beside it.
PRIVILEGES = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES, LOCK TABLES, "
    "CREATE VIEW, SHOW VIEW, TRIGGER"
)
UNESCAPES = {"n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


def query(sql, database=None, timeout=120):
    """The rows of one or more statements; the statements go in through standard input."""
    argv = CLIENT + ["--batch", "--skip-column-names", "--default-character-set=utf8mb4"]
    if database is not None:
        argv += ["--database=%s" % checked(database)]
    done = run(argv, stdin="SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';\n" + sql, timeout=timeout, check=False)
    if done.returncode != 0:
        # The client quotes the statement that it choked on.
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = re.sub(r"near '.*", "near …", lines[0]) if lines else "rc %d" % done.returncode
        raise Failed("the database server refused a statement: %s" % reason)
    return [tuple(unescape(field) for field in line.split("\t")) for line in done.stdout.split("\n") if line]


def unescape(field):
    """A field as it is stored; the client escapes tabs, line ends and backslashes in batch mode."""
    if field == "NULL":
        return None
    return re.sub(r"\\(.)", lambda match: UNESCAPES.get(match.group(1), match.group(0)), field, flags=re.S)


def literal(word):
    """A string literal of a word without line ends; the session takes backslashes as they are."""
    return "'%s'" % word.replace("'", "''")


def text(value):
    """A string expression for any text at all: nothing of it is left for a parser to misread."""
    return "_utf8mb4 X'%s'" % value.encode("utf-8").hex()


def checked(name):
    """`name`, once it is proven to be safe as an identifier between backquotes."""
    if not NAME.fullmatch(name):
        raise Failed("`%s` is not the name of a database" % name)
    return name


def password_hash(password):
    """What the server stores for a password."""
    return "*" + hashlib.sha1(hashlib.sha1(password.encode("utf-8")).digest()).hexdigest().upper()


def account_query(name):
    """The statements whose rows `ensure_account` judges."""
    name = checked(name)
    return (
        "SELECT 'database', SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {0};\n"
        "SELECT 'user', JSON_VALUE(Priv, '$.authentication_string'), JSON_VALUE(Priv, '$.plugin') "
        "FROM mysql.global_priv WHERE User = {0} AND Host = 'localhost';\n"
        "SELECT 'grant', PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES "
        "WHERE GRANTEE = {1} AND TABLE_SCHEMA = {2};\n"
    ).format(literal(name), literal("'%s'@'localhost'" % name), literal(pattern(name)))


def ensure_account(name, password, check_mode, rows=None):
    """Makes the database `name` and its user of the same name; returns what had to change.

    `rows` are those of `account_query`, where they were asked for already.
    """
    name = checked(name)
    wanted = password_hash(password)
    user = "%s@localhost" % literal(name)
    if rows is None:
        rows = query(account_query(name))
    users = [row for row in rows if row[0] == "user"]
    granted = {row[1] for row in rows if row[0] == "grant"}
    changes, statements = [], []
    if not any(row[0] == "database" for row in rows):
        changes.append("database")
        statements.append("CREATE DATABASE `%s` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci" % name)
    identified = "IDENTIFIED VIA mysql_native_password USING %s" % literal(wanted)
    if not users:
        changes.append("user")
        statements.append("CREATE USER %s %s" % (user, identified))
    elif users[0][1] != wanted or users[0][2] != "mysql_native_password":
        changes.append("password")
        statements.append("ALTER USER %s %s" % (user, identified))
    if granted != set(PRIVILEGES.split(", ")):
        changes.append("grants")
        if granted:
            statements.append("REVOKE ALL PRIVILEGES ON `%s`.* FROM %s" % (pattern(name), user))
        statements.append("GRANT %s ON `%s`.* TO %s" % (PRIVILEGES, pattern(name), user))
    if statements and not check_mode:
        query("".join(statement + ";\n" for statement in statements))
    return changes


def pattern(name):
    """A database's name in a grant, where `_` would stand for any character."""
    return name.replace("_", "\\_")


def secure(check_mode):
    """Removes what a fresh server lets in without a password; returns what had to change."""
    rows = query(
        "SELECT 'anonymous', CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.global_priv WHERE User = '';\n"
        "SELECT 'remote', CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.global_priv "
        "WHERE User = 'root' AND Host <> 'localhost';\n"
        "SELECT 'test', SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'test';\n"
        "SELECT 'root', JSON_VALUE(Priv, '$.plugin'), JSON_VALUE(Priv, '$.auth_or[1].plugin'), "
        "JSON_VALUE(Priv, '$.authentication_string') "
        "FROM mysql.global_priv WHERE User = 'root' AND Host = 'localhost';"
    )
    changes, statements = [], []
    for row in rows:
        if row[0] in ("anonymous", "remote"):
            changes.append("user %s" % row[1])
            statements.append("DROP USER %s" % row[1])
        elif row[0] == "test":
            changes.append("database test")
            statements.append("DROP DATABASE test")
        elif row[0] == "root" and (row[1] != "unix_socket"):
            changes.append("user root")
            statements.append("ALTER USER 'root'@'localhost' IDENTIFIED VIA unix_socket")
    if statements and not check_mode:
        query("".join(statement + ";\n" for statement in statements))
    return changes
