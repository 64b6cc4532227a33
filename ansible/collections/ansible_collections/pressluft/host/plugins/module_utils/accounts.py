"""Accounts of the database server: an environment's own with all the rights that it has anywhere, and everybody's.

An environment's account has its rights in its own database and no others, however others came to it: for all
databases, another one, a table, a column, a routine, through a role, as a proxy, from another host, or with a second
way to log in. What is wider is told as somebody's doing and revoked; what is narrower or another number is put back.
"""

from __future__ import annotations

from ansible_collections.pressluft.host.plugins.module_utils.mariadb import (
    checked,
    decoded,
    encoded,
    identifier,
    literal,
    password_hash,
    pattern,
    query,
)

# What WordPress does in its own database. No triggers, views and routines: they run with the rights of whoever wrote
# them, at the hands of whoever comes across them, and a copy does not take them along.
PRIVILEGES = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES, LOCK TABLES"
).split(", ")
# Accounts had these in their own database once; that they still do is nobody's doing.
FORMER = {"CREATE VIEW", "SHOW VIEW", "TRIGGER"}
COLUMNS = {
    "Select_priv": "SELECT",
    "Insert_priv": "INSERT",
    "Update_priv": "UPDATE",
    "Delete_priv": "DELETE",
    "Create_priv": "CREATE",
    "Drop_priv": "DROP",
    "Alter_priv": "ALTER",
    "Index_priv": "INDEX",
    "References_priv": "REFERENCES",
    "Create_tmp_table_priv": "CREATE TEMPORARY TABLES",
    "Lock_tables_priv": "LOCK TABLES",
    "Create_view_priv": "CREATE VIEW",
    "Show_view_priv": "SHOW VIEW",
    "Trigger_priv": "TRIGGER",
    "Grant_priv": "GRANT OPTION",
    "Create_routine_priv": "CREATE ROUTINE",
    "Alter_routine_priv": "ALTER ROUTINE",
    "Execute_priv": "EXECUTE",
    "Event_priv": "EVENT",
    "Delete_history_priv": "DELETE HISTORY",
}
PLUGIN = "mysql_native_password"
LIMITS = ("max_questions", "max_updates", "max_connections", "max_user_connections", "max_statement_time")
TABLES = ("db", "tables_priv", "columns_priv", "procs_priv")
SHOWN = 20


def connections(workers):
    """How many connections an environment with so many PHP workers may have: two for each, and some beside."""
    return 2 * workers + 10


def rights_query(name):
    """The statements whose rows `ensure` judges; every name in them is hexadecimal."""
    user = literal(checked(name))
    held = ", ".join("IF(%s = 'Y', '%s', NULL)" % pair for pair in COLUMNS.items())
    limits = ", ".join("IFNULL(JSON_VALUE(Priv, '$.%s'), 0)" % limit for limit in LIMITS)
    return (
        "SELECT 'database' FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {user};\n"
        "SELECT 'user', HEX(Host), JSON_VALUE(Priv, '$.access'), JSON_VALUE(Priv, '$.authentication_string'), "
        "JSON_VALUE(Priv, '$.plugin'), JSON_EXISTS(Priv, '$.auth_or[*].plugin'), JSON_EXISTS(Priv, '$.is_role'), "
        "IFNULL(JSON_VALUE(Priv, '$.account_locked'), 0), IFNULL(JSON_VALUE(Priv, '$.ssl_type'), 0), "
        "HEX(IFNULL(JSON_VALUE(Priv, '$.default_role'), '')), IFNULL(JSON_VALUE(Priv, '$.password_last_changed'), 1), "
        "IFNULL(JSON_VALUE(Priv, '$.password_lifetime'), -1), {limits} FROM mysql.global_priv WHERE User = {user};\n"
        "SELECT 'global', PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = {grantee};\n"
        "SELECT 'schema', HEX(Host), HEX(Db), CONCAT_WS(',', {held}) FROM mysql.db WHERE User = {user};\n"
        "SELECT 'held', HEX(Host), HEX(CONCAT('table `', Db, '`.`', Table_name, '`')) FROM mysql.tables_priv "
        "WHERE User = {user};\n"
        "SELECT 'held', HEX(Host), HEX(CONCAT('column `', Db, '`.`', Table_name, '`.`', Column_name, '`')) "
        "FROM mysql.columns_priv WHERE User = {user};\n"
        "SELECT 'held', HEX(Host), HEX(CONCAT('routine `', Db, '`.`', Routine_name, '`')) FROM mysql.procs_priv "
        "WHERE User = {user};\n"
        "SELECT 'role', HEX(Host), HEX(Role) FROM mysql.roles_mapping WHERE User = {user};\n"
        "SELECT 'proxy', HEX(Host), HEX(Proxied_user), HEX(Proxied_host) FROM mysql.proxies_priv WHERE User = {user};\n"
    ).format(user=user, grantee=literal("'%s'@'localhost'" % name), held=held, limits=limits)


def ensure(name, password, limit, check_mode, rows=None):
    """Makes the database `name` and its account of the same name; what had to change, and what was wider than ours.

    `rows` are those of `rights_query`, where they were asked for already.
    """
    wanted = password_hash(password)
    user = "%s@localhost" % literal(checked(name))
    rows = query(rights_query(name)) if rows is None else rows
    own = [row for row in rows if row[0] == "user" and decoded(row[1]) == "localhost"]
    wider = wider_than_ours(name, rows)
    changes, statements = [], []
    if ("database",) not in rows:
        changes.append("database")
        statements.append(create_database(name))
    login = "%s IDENTIFIED VIA %s USING %s" % (user, PLUGIN, literal(wanted))
    limits = "REQUIRE NONE WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0 "
    limits += "MAX_USER_CONNECTIONS %d MAX_STATEMENT_TIME 0 ACCOUNT UNLOCK PASSWORD EXPIRE DEFAULT" % limit
    if not own:
        changes.append("user")
        statements.append("CREATE USER %s %s" % (login, limits))
    else:
        differing = login_differences(own[0], wanted, limit)
        if differing:
            changes += differing
            statements.append("ALTER USER %s %s" % (login, limits))
    granted, allowed = own_grants(name, rows), list(PRIVILEGES)
    if "TRIGGER" in granted and has_triggers(name):
        allowed.append("TRIGGER")
    if wider:
        changes += ["revoke %s" % what for what in wider]
        statements += revocations(name, user, rows)
    if wider or granted - set(allowed):
        statements.append("REVOKE ALL PRIVILEGES, GRANT OPTION FROM %s" % user)
    if wider or granted != set(allowed):
        if granted != set(allowed):
            changes.append("grants")
        statements.append("GRANT %s ON `%s`.* TO %s" % (", ".join(allowed), pattern(name), user))
    if statements and not check_mode:
        query("".join(encoded(statement) for statement in statements))
    return changes, wider


def login_differences(row, wanted, limit):
    """What differs of how the account logs in, and of how much it may."""
    differing = []
    if row[3:6] != (wanted, PLUGIN, "0"):
        differing.append("password")
    # One that has run out lets nobody do anything but choose another.
    if float(row[10]) == 0 or float(row[11]) != -1:
        differing.append("password's end")
    if row[7:9] != ("0", "0") or [float(field) for field in row[12:]] != [0, 0, 0, limit, 0]:
        differing.append("limits")
    return differing


def create_database(name):
    return "CREATE DATABASE `%s` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci" % checked(name)


def has_triggers(name):
    """Whether the database has triggers of its own account, which need the right for as long as they are there.

    Without it their tables could not be written any more.
    """
    own = "TRIGGER_SCHEMA = %s AND DEFINER = %s" % (literal(name), literal(name + "@localhost"))
    return bool(query("SELECT 1 FROM information_schema.TRIGGERS WHERE %s LIMIT 1;\n" % own))


def own_grants(name, rows):
    """What the account may do in its own database."""
    place = ("localhost", pattern(name))
    found = [row[3] for row in rows if row[0] == "schema" and (decoded(row[1]), decoded(row[2])) == place]
    return {privilege for held in found for privilege in (held or "").split(",") if privilege}


def wider_than_ours(name, rows):
    """What the account has beside the rights in its own database, in words."""
    found = []
    everywhere = [row[1] for row in rows if row[0] == "global" and row[1] != "USAGE"]
    if everywhere:
        found.append("%s for all databases" % listed(everywhere))
    for row in rows:
        host = "localhost" if row[0] in ("database", "global") else decoded(row[1])
        at = "" if host == "localhost" else " at host `%s`" % shown(host)
        if row[0] == "user":
            if at:
                found.append("%s of the same name%s" % ("a role" if row[6] == "1" else "an account", at))
            elif row[5] == "1":
                found.append("another way to log in than the password")
            if decoded(row[9]):
                found.append("the default role `%s`%s" % (shown(decoded(row[9])), at))
        elif row[0] == "schema":
            database, held = decoded(row[2]), (row[3] or "").split(",")
            if at or database != pattern(name):
                found.append("%s in the database `%s`%s" % (listed(held), shown(database), at))
            elif not FORMER.union(PRIVILEGES, [""]).issuperset(held):
                found.append("%s in its own database" % listed([word for word in held if word not in PRIVILEGES]))
        elif row[0] == "held":
            found.append("rights of its own for the %s%s" % (shown(decoded(row[2])), at))
        elif row[0] == "role":
            found.append("the role `%s`%s" % (shown(decoded(row[2])), at))
        elif row[0] == "proxy":
            found.append("the place of `%s`@`%s`%s" % (shown(decoded(row[2])), shown(decoded(row[3])), at))
    return found[:SHOWN]


def listed(words):
    return ", ".join(words[:8]) + (" and %d more" % (len(words) - 8) if len(words) > 8 else "")


def revocations(name, user, rows):
    """The statements that take away what `REVOKE ALL` leaves."""
    statements = []
    for row in rows:
        if row[0] == "user" and decoded(row[1]) != "localhost":
            at = "" if row[6] == "1" else "@%s" % literal(decoded(row[1]))
            statements.append("DROP %s %s%s" % ("ROLE" if row[6] == "1" else "USER", literal(name), at))
        elif row[0] == "user" and decoded(row[9]):
            statements.append("SET DEFAULT ROLE NONE FOR %s" % user)
        elif row[0] == "proxy" and decoded(row[1]) == "localhost":
            proxied = "%s@%s" % (literal(decoded(row[2])), literal(decoded(row[3])))
            statements.append("REVOKE PROXY ON %s FROM %s" % (proxied, user))
    # Rights of the name that belong to no account still count for every account of the name.
    own = "User = %s AND Host <> 'localhost'" % literal(name)
    if any(row[0] in ("schema", "held") and decoded(row[1]) != "localhost" for row in rows):
        statements += ["DELETE FROM mysql.%s WHERE %s" % (table, own) for table in TABLES] + ["FLUSH PRIVILEGES"]
    return statements


def shown(name):
    """A name that anybody can have made, as it may stand in a message."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:80]


def secure(check_mode):
    """Removes what a fresh server lets in without a password, and rights of everybody; what had to change."""
    rows = query(
        "SELECT 'anonymous', HEX(Host) FROM mysql.global_priv WHERE User = '';\n"
        "SELECT 'remote', HEX(Host) FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';\n"
        "SELECT 'test', SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'test';\n"
        "SELECT 'root', JSON_VALUE(Priv, '$.plugin') FROM mysql.global_priv WHERE User = 'root' AND Host = 'localhost';\n"
        + "".join(
            "SELECT 'everybody', '{0}', User FROM mysql.{0} WHERE User IN ('', 'PUBLIC') LIMIT 1;\n".format(table)
            for table in TABLES
        )
        + "SELECT 'public' FROM mysql.global_priv WHERE User = 'PUBLIC' AND JSON_VALUE(Priv, '$.access') <> 0;\n"
        "SELECT 'public' FROM mysql.roles_mapping WHERE User = 'PUBLIC' LIMIT 1;\n"
    )
    changes, statements = [], []
    for row in rows:
        if row[0] in ("anonymous", "remote"):
            account = "%s@%s" % (literal("" if row[0] == "anonymous" else "root"), literal(decoded(row[1])))
            changes.append("user %s" % shown(account))
            statements.append("DROP USER %s" % account)
        elif row[0] == "test":
            changes.append("database test")
            statements.append("DROP DATABASE test")
        elif row[0] == "root" and row[1] != "unix_socket":
            changes.append("user root")
            statements.append("ALTER USER 'root'@'localhost' IDENTIFIED VIA unix_socket")
        elif row[0] == "everybody" and row[2] == "":
            statements += ["DELETE FROM mysql.%s WHERE User = ''" % row[1], "FLUSH PRIVILEGES"]
            changes.append("rights of everybody")
        elif row[0] in ("everybody", "public"):
            statements.append("REVOKE ALL PRIVILEGES, GRANT OPTION FROM PUBLIC")
            changes.append("rights of everybody")
    if statements and not check_mode:
        query("".join(encoded(statement) for statement in statements))
    return list(dict.fromkeys(changes))


def powerful():
    """Accounts that are none of ours and have rights in all databases, in words."""
    rows = query(
        "SELECT HEX(GRANTEE), GROUP_CONCAT(PRIVILEGE_TYPE ORDER BY PRIVILEGE_TYPE SEPARATOR ','), MAX(IS_GRANTABLE = 'YES' "
        "OR PRIVILEGE_TYPE IN ('SUPER', 'CREATE USER', 'FILE', 'SET USER', 'CONNECTION ADMIN')) "
        "FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE <> 'USAGE' GROUP BY GRANTEE ORDER BY 1 LIMIT 40;\n"
    )
    ours = ("'root'@'localhost'", "'mysql'@'localhost'", "'mariadb.sys'@'localhost'", "'debian-sys-maint'@'localhost'")
    found = []
    for grantee, rights, is_root in rows:
        name = decoded(grantee)
        if name not in ours:
            what = "the rights of root" if is_root == "1" else "%s for all databases" % listed(rights.split(","))
            found.append("the database account %s has %s" % (shown(name), what))
    return found
