"""The database server of the node: asked as root about accounts and names, and as an environment about its own data.

Root asks only what the server itself keeps, in `mysql` and `information_schema`. What a tenant has written is asked for
as the tenant, in a program of the tenant's user, so that nothing of it is evaluated with more rights than its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import subprocess

from ansible_collections.pressluft.host.plugins.module_utils import tenant
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, finish, run

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
# Commands of the client itself, such as `\!`, are off; what a field holds never becomes one.
QUIET = ["--no-defaults", "--protocol=socket", "--socket=/run/mysqld/mysqld.sock", "--local-infile=0"]
CLIENT = ["mariadb"] + QUIET + ["--binary-mode", "--sandbox", "--default-character-set=utf8mb4"]
ROWS = ["--batch", "--skip-column-names", "--quick"]
UNESCAPES = {"n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
PLAIN = "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES';\n"
# A tenant can hold its tables for as long as it likes, also before whoever only asks what they are called, and whatever
# it holds keeps the node's lock.
BOUNDED = "SET SESSION max_statement_time = %d, lock_wait_timeout = %d, innodb_lock_wait_timeout = %d;\n"
ROOT_SECONDS = 30
LOCK_SECONDS = 10
# A statement about a tenant's own data is over by then, however it was made to take long.
STATEMENT_SECONDS = 10
TENANT_SECONDS = 20
LARGEST_ANSWER = 16 << 20


def query(sql, database=None, seconds=ROOT_SECONDS):
    """The rows of one or more statements of root; the statements go in through standard input.

    Each may take so many seconds, of which only some may pass in waiting for locks of others.
    """
    argv = CLIENT + ["--user=root"] + ROWS
    if database is not None:
        argv += ["--database=%s" % checked(database)]
    text = PLAIN + BOUNDED % (seconds, LOCK_SECONDS, LOCK_SECONDS) + sql
    return rows_of(run(argv, stdin=text, timeout=2 * seconds, check=False, label="mariadb"))


# The client takes a password from its environment, which only its own user can read, and gets it through its standard
# input: no argument list shows it. The shell reads no further than the first line.
WITH_PASSWORD = ["/bin/sh", "-c", 'IFS= read -r MYSQL_PWD && export MYSQL_PWD && exec "$@"', "sh"]


@contextlib.contextmanager
def asked(site, password, sql, user=None):
    """Starts statements of an environment in its own database; yields a function that waits for their rows.

    They are its account's, or those of a `user` that may do less.
    """
    pipe = subprocess.PIPE
    argv = WITH_PASSWORD + CLIENT + ROWS
    argv += ["--user=%s" % checked(user or site.system), "--database=%s" % checked(site.system)]
    text = "%s\n%sSET SESSION max_statement_time = %d;\n%s" % (password, PLAIN, STATEMENT_SECONDS, sql)
    process = tenant.start_client(site, argv, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield lambda: rows_of(finish(process, text, TENANT_SECONDS, False, "mariadb", LARGEST_ANSWER, tenant.end))
    finally:
        if process.returncode is None:
            tenant.end(process)


def ask(site, password, sql, user=None):
    """The rows of statements of an environment in its own database."""
    with asked(site, password, sql, user) as rows:
        return rows()


def rows_of(done):
    if done.returncode != 0:
        # The client quotes the statement that it choked on.
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = re.sub(r"near '.*", "near …", lines[0])[:500] if lines else "rc %d" % done.returncode
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


def encoded(statement):
    """A statement that holds names of any kind, in a form that leaves nothing to misread."""
    return "EXECUTE IMMEDIATE CONVERT(X'%s' USING utf8mb4);\n" % statement.encode("utf-8").hex()


def decoded(field):
    """The text of a column that was asked for as HEX(), or None."""
    return None if field is None else bytes.fromhex(field).decode("utf-8", "surrogateescape")


def identifier(name):
    """Any name at all between backquotes."""
    return "`%s`" % name.replace("`", "``")


def pattern(name):
    """A database's name in a grant, where `_` would stand for any character."""
    return name.replace("_", "\\_")
