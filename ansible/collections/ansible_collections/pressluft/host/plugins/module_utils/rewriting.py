"""Rewriting the addresses of a site in what its database holds: exactly those, in every spelling, in every table.

This is a program of the tenant as well: `copies` starts it with the tenant's rights, and it gets its own text through
its standard input. So it needs nothing but Python. What is serialised is rewritten as the text that it is: no class is
needed, and no code of the site runs. What cannot be rewritten is left as it is and told.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from urllib.parse import urlsplit

SLASH = rb"(?:\\{0,8}/|%(?:25){0,4}2f|\\{1,8}u002f|&#0{0,4}47;|&#x0{0,4}2f;)"
COLON = rb"(?::|%(?:25){0,4}3a|\\{1,8}u003a|&#0{0,4}58;|&#x0{0,4}3a;)"
# What stands before an address without a protocol is not the rest of another address or path, unless what looks like it
# is a character in another spelling.
SPELLED = [b"%%%s" % code for code in b"0a 20 22 26 27 28 2c 3d 3e 3f 5b 7c".split()]
SPELLED += [b"%%25%s" % code[1:] for code in SPELLED]
SPELLED += [b"\\\\%s" % letter for letter in b"n r t u0022 u0026 u0027 u003d u003e".split()]
EDGE = b"(?:(?<![a-z0-9_.~:/\\\\%%])|%s)" % b"|".join(b"(?<=%s)" % spelled for spelled in SPELLED)
BEFORE = re.compile(b"(?:(?P<protocol>https?)(?P<colon>%s)|%s)(?P<one>%s)(?P<two>%s)\\Z" % (COLON, EDGE, SLASH, SLASH), re.I)
LONGEST_BEFORE = 96
# A port may follow, and then nothing that would make it another host or a name that somebody logs in with.
PORT = b"(?:%s(?P<port>[0-9]{1,5}))?" % COLON
AFTER = re.compile(PORT + b"(?![a-z0-9_-]|\\.[a-z0-9]|%s[0-9]|@|%%(?:25){0,4}40)" % COLON, re.I)
PATH_END = re.compile(rb"(?![a-z0-9_~-]|\.[a-z0-9])", re.I)
USUAL = {"http": 80, "https": 443}

PLAIN = re.compile(rb"(?:N|[bi]:-?[0-9]{1,20}|d:[^;]{1,40}|[rR]:[0-9]{1,10});")
LIST = re.compile(rb"a:[0-9]{1,10}:\{")
STRING = re.compile(rb's:([0-9]{1,10}):"')
# The same within JSON, HTML or an address: where such a text ends cannot be counted there.
SPELLED_STRING = re.compile(rb's(?::|%3a)[0-9]{1,10}(?::|%3a)(?:\\{1,8}"|&quot;|&#0?34;|%22)', re.I)
WORD = re.compile(rb'E:([0-9]{1,6}):"')
OBJECT = re.compile(rb'O:([0-9]{1,6}):"')
OWN_OBJECT = re.compile(rb'C:([0-9]{1,6}):"')
OBJECT_BODY = re.compile(rb'":[0-9]{1,10}:\{')
OWN_BODY = re.compile(rb'":([0-9]{1,10}):\{')
# Text has no such characters; what has them has a form of its own, with lengths that nobody here knows.
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
# Serialised text in serialised text.
DEEPEST = 16

OWN_FORM = "in an object that writes itself"
TOO_DEEP = "nested too deeply"
OTHER_FORM = "in serialised data within JSON, HTML or an address"
NO_TEXT = "in binary data"
REFUSED = "the database refused it"
TOO_LARGE = "too large"
UNREADABLE = "the table cannot be read"


def spellings(host):
    """A name and the other ways to write it: as DNS has it, as people read it, as JSON may have it."""
    found = [host]
    for codec in (lambda: host.encode("idna").decode("ascii"), lambda: host.encode("ascii").decode("idna")):
        try:
            found.append(codec())
        except UnicodeError:
            continue
    found += [json.dumps(name)[1:-1].lower() for name in found]
    return list(dict.fromkeys(found))


class Address:
    """Where a site is; `host` is another spelling of its name than the one in the address."""

    def __init__(self, url, host=None):
        parts = urlsplit(url)
        self.protocol = parts.scheme.lower()
        host = (parts.hostname or "" if host is None else host).encode("utf-8")
        self.host = b"[%s]" % host if b":" in host else host
        usual = USUAL.get(self.protocol)
        self.port = None if parts.port == usual else parts.port
        self.path = [part.encode() for part in parts.path.split("/") if part]

    def is_port(self, written, protocol):
        """Whether this port, or none, leads here; `protocol` is the one in front, if there is one."""
        if written is None:
            return self.port is None
        if self.port is not None:
            return written == self.port
        return written == USUAL.get(protocol or self.protocol)


class Rules:
    """From which addresses to which one."""

    def __init__(self, old_urls, new_url):
        self.new = Address(new_url)
        found = {}
        written = [(url, host) for url in old_urls for host in spellings(urlsplit(url).hostname or "")]
        for old in (Address(url, host) for url, host in written):
            same = (old.host, old.port, old.path) == (self.new.host, self.new.port, self.new.path)
            if old.host and not same:
                found.setdefault((old.host, old.port, tuple(old.path)), old)
        # The address of a part of a site before that of the whole.
        self.old = sorted(found.values(), key=lambda old: -len(old.path))
        self.hosts = sorted({old.host for old in self.old})
        self.mention = re.compile(b"|".join(re.escape(host) for host in self.hosts), re.I) if self.hosts else None

    def applied(self, data):
        """The text with every old address replaced by the new one."""
        pieces, done = [], 0
        for mention in self.mention.finditer(data):
            if mention.start() < done:
                continue
            before = BEFORE.search(data, max(done, mention.start() - LONGEST_BEFORE), mention.start())
            after = AFTER.match(data, mention.end())
            if before is None or after is None:
                continue
            protocol = before["protocol"] and before["protocol"].decode().lower()
            port = None if after["port"] is None else int(after["port"])
            for old in self.old:
                if old.host != mention.group().lower() or not old.is_port(port, protocol):
                    continue
                end = below(data, after.end(), old.path)
                if end is not None:
                    pieces += [data[done : before.start()], self.written(before)]
                    done = end
                    break
        return b"".join(pieces) + data[done:] if pieces else data

    def written(self, before):
        """The new address in the spelling of the old one."""
        protocol, slash = before["protocol"], before["two"]
        colon = before["colon"]
        start = b"" if protocol is None else self.new.protocol.encode() + colon
        if colon is None:
            colon = slash[:-2] + b"3A" if slash.startswith(b"%") else b":"
        port = b"" if self.new.port is None else b"%s%d" % (colon, self.new.port)
        path = b"".join(slash + part for part in self.new.path)
        return start + before["one"] + slash + self.new.host + port + path


def below(data, at, path):
    """Where a path that begins here ends, or None when another one does."""
    for part in path:
        match = re.compile(SLASH + re.escape(part), re.I).match(data, at)
        if match is None:
            return None
        at = match.end()
    return at if not path or PATH_END.match(data, at) else None


class Unserialised(Exception):
    """It is no serialised value, however it begins."""


def rewritten(data, rules, left, depth=0):
    """A value with its addresses rewritten; why some stay is added to the set `left`."""
    if rules.mention is None or not rules.mention.search(data):
        return data
    body = data.lstrip(b" \t\r\n")
    if body[:2] in (b"a:", b"O:", b"s:", b"C:", b"E:"):
        try:
            return data[: -len(body)] + serialised(body, rules, left, depth)
        except Unserialised:
            pass
    return beside(data, rules, left, depth)


def beside(data, rules, left, depth):
    """The same of a text that may hold serialised strings among others, as a session of PHP does."""
    pieces, at, found = [], 0, set()
    for string in STRING.finditer(data):
        end = string.end() + int(string[1])
        if string.start() < at or data[end : end + 2] != b'";':
            continue
        pieces += [rules.applied(data[at : string.start()]), stored(data[string.end() : end], rules, found, depth)]
        at = end + 2
    changed = b"".join(pieces) + rules.applied(data[at:])
    if changed != data and BINARY.search(data) and not pieces:
        found, changed = {NO_TEXT}, data
    elif changed != data and SPELLED_STRING.search(data):
        found, changed = {OTHER_FORM}, data
    left |= found
    return changed


def stored(text, rules, left, depth):
    """A string as PHP's `serialize` writes it, with its new length."""
    if depth < DEEPEST:
        text = rewritten(text, rules, left, depth + 1)
    elif rules.mention.search(text) and rules.applied(text) != text:
        left.add(TOO_DEEP)
    return b's:%d:"%s";' % (len(text), text)


def serialised(data, rules, left, depth):
    """The same of a value as PHP's `serialize` writes it: the lengths of its strings follow them.

    Raises `Unserialised`.
    """
    pieces, at = [], 0
    for start, begin, end, is_string in strings_of(data):
        inner = data[begin:end]
        if is_string:
            pieces += [data[at:start], stored(inner, rules, left, depth)]
            at = end + 2
        elif rules.applied(inner) != inner:
            # Its class alone knows what the lengths in it are about.
            left.add(OWN_FORM)
    return b"".join(pieces) + data[at:]


def strings_of(data):
    """Where the strings of a serialised value are, and what objects have written that write themselves: start, begin
    and end of the content, and whether it is a string.

    Raises `Unserialised`.
    """
    found, at, level = [], 0, 0
    while True:
        if plain := PLAIN.match(data, at):
            at = plain.end()
        elif string := STRING.match(data, at):
            end = string.end() + int(string[1])
            found.append((at, string.end(), end, True))
            at = behind(data, end, b'";')
        elif opened := LIST.match(data, at):
            at, level = opened.end(), level + 1
        elif word := WORD.match(data, at):
            at = behind(data, word.end() + int(word[1]), b'";')
        elif named := OBJECT.match(data, at):
            at, level = matched(OBJECT_BODY, data, named.end() + int(named[1])).end(), level + 1
        elif named := OWN_OBJECT.match(data, at):
            body = matched(OWN_BODY, data, named.end() + int(named[1]))
            end = body.end() + int(body[1])
            found.append((at, body.end(), end, False))
            at = behind(data, end, b"}")
        elif level:
            at, level = behind(data, at, b"}"), level - 1
        else:
            raise Unserialised
        if level == 0:
            break
    if data[at:].strip():
        raise Unserialised
    return found


def behind(data, at, expected):
    if not data.startswith(expected, at):
        raise Unserialised
    return at + len(expected)


def matched(pattern, data, at):
    match = pattern.match(data, at)
    if match is None:
        raise Unserialised
    return match


TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
# Values of a table without a key are told apart by themselves, so all of them are there at once.
MOST_TOGETHER = 128 << 20
MARK = b"that was all"


class Gone(Exception):
    """The client has ended."""


class Client:
    """Statements to the database, one after the other; one that is refused is no end."""

    def __init__(self, argv):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)

    def ask(self, statement, variables=()):
        """The rows of a statement, whose names may be anything; `variables` are pairs of a name and an expression."""
        self.send(statement, variables)
        return self.rows()

    def change(self, statement, variables):
        """How many rows a statement changed, less than none when it was refused."""
        self.send(statement, variables)
        self.process.stdin.write(b"SELECT ROW_COUNT();\n")
        return int(self.rows()[0][0])

    def send(self, statement, variables):
        lines = ["SET @%s = %s;\n" % pair for pair in variables]
        text = statement.encode("utf-8").hex()
        lines.append("EXECUTE IMMEDIATE CONVERT(X'%s' USING utf8mb4);\n" % text)
        self.process.stdin.write("".join(lines).encode("ascii"))

    def rows(self):
        """What the statements before have said."""
        self.process.stdin.write(b"SELECT '%s';\n" % MARK)
        self.process.stdin.flush()
        rows = []
        for line in self.process.stdout:
            row = line.rstrip(b"\n").split(b"\t")
            if row == [MARK]:
                return rows
            rows.append(row)
        raise Gone


def name_of(field):
    return bytes.fromhex(field.decode("ascii")).decode("utf-8", "surrogateescape")


def quoted(name):
    return "`%s`" % name.replace("`", "``")


class Table:
    """A table with the columns that hold text, and those that tell its rows apart."""

    def __init__(self, name):
        self.name = name
        self.types = {}
        self.values = []
        self.key = []
        self.kept = []

    def add(self, column, kind, extra, is_key, generated):
        self.types[column] = kind
        # WordPress says that it is the same for ever, wherever the site goes.
        is_guid = column == "guid" and self.name.endswith("posts")
        if kind in TEXTS + BYTES and not generated and not is_guid:
            self.values.append(column)
        if is_key:
            self.key.append(column)
        if "on update" in extra.lower():
            self.kept.append(column)

    def shown(self, column):
        """The bytes that WordPress would see of a column, as hexadecimal digits."""
        if self.types[column] in BYTES:
            return "HEX(%s)" % quoted(column)
        return "HEX(CONVERT(%s USING utf8mb4))" % quoted(column)

    def is_row(self, key):
        """The condition that is true of one row."""
        tests = []
        for column, field in zip(self.key, key):
            kind = self.types[column]
            text = field.decode("ascii")
            if kind in NUMBERS:
                value = bytes.fromhex(text).decode("ascii")
            else:
                value = "X'%s'" % text if kind in BYTES else "_utf8mb4 X'%s'" % text
            tests.append("%s = %s" % (quoted(column), value))
        return " AND ".join(tests)

    def mentions(self, columns, hosts):
        """The condition that is true where one of the columns may hold an address."""
        tests = []
        for column in columns:
            for part in sorted({plain_part(host) for host in hosts}):
                text = "LOWER(CONVERT(%s USING latin1))" % quoted(column)
                tests.append("LOCATE(X'%s', %s) > 0" % (part.hex(), text))
        return " OR ".join(tests)

    def assigned(self, columns):
        """The part of a statement that sets columns to variables, and nothing else with them."""
        sets = ["%s = @v%d" % (quoted(column), index) for index, column in enumerate(columns)]
        return ", ".join(sets + ["%s = %s" % (quoted(column), quoted(column)) for column in self.kept])


def plain_part(host):
    """The longest part of a name that is the same in every character set: where it is not, neither is the name."""
    return max(re.split(rb"[^\x00-\x7f]+", host), key=len)


def value_of(table, column, data):
    return ("X'%s'" if table.types[column] in BYTES else "_utf8mb4 X'%s'") % data.hex()


class Rewriting:
    """All tables of a database."""

    def __init__(self, client, rules):
        self.client = client
        self.rules = rules
        self.rows = 0
        self.left = {}
        self.largest = 0

    def leave(self, table, column, why):
        place = (table.name, column, why)
        self.left[place] = self.left.get(place, 0) + 1

    def run(self, but):
        self.client.ask("SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES', foreign_key_checks = 0")
        packet = self.client.ask("SELECT @@max_allowed_packet")
        # A value travels as hexadecimal digits, with a statement around it.
        self.largest = (int(packet[0][0]) - (64 << 10)) // 2
        for table in self.tables(but):
            if table.values:
                self.rewrite(table)

    def tables(self, but):
        """What is in the database, but for one table of ours."""
        found = {}
        rows = self.client.ask(
            "SELECT HEX(TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
            " AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME"
        )
        for (field,) in rows:
            found[name_of(field)] = Table(name_of(field))
        found.pop(but, None)
        rows = self.client.ask(
            "SELECT HEX(c.TABLE_NAME), HEX(c.COLUMN_NAME), c.DATA_TYPE, CONCAT('-', c.EXTRA), c.IS_GENERATED,"
            " IFNULL(s.SEQ_IN_INDEX, 0) FROM information_schema.COLUMNS c LEFT JOIN information_schema.STATISTICS s"
            " ON s.TABLE_SCHEMA = c.TABLE_SCHEMA AND s.TABLE_NAME = c.TABLE_NAME AND s.COLUMN_NAME = c.COLUMN_NAME"
            " AND s.INDEX_NAME = 'PRIMARY' WHERE c.TABLE_SCHEMA = DATABASE() ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION"
        )
        for name, column, kind, extra, generated, place in rows:
            table = found.get(name_of(name))
            if table is not None:
                is_key = place != b"0"
                table.add(name_of(column), kind.decode(), extra.decode(), is_key, generated == b"ALWAYS")
        return list(found.values())

    def rewrite(self, table):
        where = table.mentions(table.values, self.rules.hosts)
        counted = self.client.ask("SELECT COUNT(*) FROM %s WHERE %s" % (quoted(table.name), where))
        if not counted:
            self.leave(table, "", UNREADABLE)
        elif counted != [[b"0"]]:
            if table.key:
                self.by_key(table, where)
            else:
                for column in table.values:
                    self.by_value(table, column)

    def by_key(self, table, where):
        shown = ", ".join(table.shown(column) for column in table.key)
        keys = self.client.ask("SELECT %s FROM %s WHERE %s" % (shown, quoted(table.name), where))
        columns = ", ".join(table.shown(column) for column in table.values)
        for key in keys:
            is_row = table.is_row(key)
            found = self.client.ask("SELECT %s FROM %s WHERE %s" % (columns, quoted(table.name), is_row))
            if len(found) != 1:
                self.leave(table, "", REFUSED)
                continue
            changes = {}
            for column, field in zip(table.values, found[0]):
                changed = self.changed(table, column, field)
                if changed is not None:
                    changes[column] = changed
            self.change(table, changes, is_row, [])

    def by_value(self, table, column):
        """Of a table without a key: every row with the same value at once."""
        where = table.mentions([column], self.rules.hosts)
        place = (quoted(table.name), where)
        size = self.client.ask("SELECT IFNULL(SUM(OCTET_LENGTH(%s)), 0) FROM %s WHERE %s" % (quoted(column), *place))
        if not size or int(size[0][0]) > MOST_TOGETHER:
            self.leave(table, column, TOO_LARGE if size else UNREADABLE)
            return
        for (field,) in self.client.ask("SELECT DISTINCT %s FROM %s WHERE %s" % (table.shown(column), *place)):
            changed = self.changed(table, column, field)
            if changed is not None:
                seen = quoted(column) if table.types[column] in BYTES else "CONVERT(%s USING utf8mb4)" % quoted(column)
                old = [("old", "X'%s'" % field.decode("ascii"))]
                self.change(table, {column: changed}, "CAST(%s AS BINARY) = @old" % seen, old)

    def changed(self, table, column, field):
        """The new value of a column, or None for what stays."""
        if field == b"NULL":
            return None
        data, left = bytes.fromhex(field.decode("ascii")), set()
        new = rewritten(data, self.rules, left)
        for why in left:
            self.leave(table, column, why)
        if new == data:
            return None
        if len(new) > self.largest:
            self.leave(table, column, TOO_LARGE)
            return None
        return new

    def change(self, table, changes, where, variables):
        """Sets the columns of some rows, all at once or one by one where the database takes them only so."""
        if not changes:
            return
        together = [list(changes)]
        if sum(len(data) for data in changes.values()) > self.largest:
            together = [[column] for column in changes]
        done = False
        for columns in together:
            done = self.set(table, columns, changes, where, variables) or done
        self.rows += done

    def set(self, table, columns, changes, where, variables):
        values = [("v%d" % n, value_of(table, column, changes[column])) for n, column in enumerate(columns)]
        statement = "UPDATE %s SET %s WHERE %s" % (quoted(table.name), table.assigned(columns), where)
        if self.client.change(statement, values + variables) >= 0:
            return True
        if len(columns) > 1:
            return any([self.set(table, [column], changes, where, variables) for column in columns])
        self.leave(table, columns[0], REFUSED)
        return False


def main(values):
    """Rewrites the database that a client of these arguments opens, and prints how that went."""
    rules = Rules(values["old"], values["new"])
    rewriting = Rewriting(Client(values["client"]), rules)
    rewriting.run(values["but"])
    left = [[*place, count] for place, count in sorted(rewriting.left.items())]
    print("\x1e" + json.dumps({"rows": rewriting.rows, "left": left[: values["most"]], "more": len(left[values["most"] :])}))
    sys.stdout.flush()
