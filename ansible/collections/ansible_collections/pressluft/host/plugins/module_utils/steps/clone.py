"""Another environment's database and uploads, copied once.

Does nothing when the environment's database holds a whole installation. A table marks the database until the copy is
whole; a run that finds the mark starts again from nothing. The dump goes from server to server through a pipe and never
lies on a disk. Addresses are rewritten in serialised data too, in their plain, JSON-escaped and percent-encoded spelling;
`guid` columns keep theirs. Uploads are read by the one environment's user and written by the other's, so that no link
leads root astray.
"""

from __future__ import annotations

import os
import re
import subprocess
from urllib.parse import quote, urlsplit

from ansible_collections.pressluft.host.plugins.module_utils import mariadb
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, as_user, end, start
from ansible_collections.pressluft.host.plugins.module_utils.wordpress import PREFIX, Site

SERVER = ["--no-defaults", "--protocol=socket", "--socket=/run/mysqld/mysqld.sock", "--user=root"]
CHARSET = "--default-character-set=utf8mb4"
# Only definitions begin like this; the rows of a dump begin with INSERT, their line ends escaped.
DEFINITION = re.compile(rb"^(/\*!\d+ |CREATE |/\*!\d+ CREATE\*/ )")


def dump_command(database):
    """One consistent picture: a transaction, or locks where a table's engine has no transactions."""
    rows = mariadb.query(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_TYPE = 'BASE TABLE' "
        "AND ENGINE <> 'InnoDB';" % mariadb.literal(mariadb.checked(database))
    )
    consistent = "--single-transaction" if rows == [("0",)] else "--lock-tables"
    options = [consistent, "--quick", "--hex-blob", "--routines", "--events", "--triggers", "--skip-comments", CHARSET]
    return ["mariadb-dump"] + SERVER + options + ["--", database]


def copy_database(source, target):
    """Streams the one database into the other."""
    source_definer = b"DEFINER=`%s`@`localhost`" % source.encode("ascii")
    target_definer = b"DEFINER=`%s`@`localhost`" % target.encode("ascii")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    loader_command = ["mariadb"] + SERVER + [CHARSET, "--database=%s" % mariadb.checked(target)]
    quiet = subprocess.DEVNULL
    with start(
        dump_command(source), stdin=quiet, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as dump, start(
        loader_command, stdin=subprocess.PIPE, stdout=quiet, stderr=subprocess.PIPE, env=environment
    ) as loader:
        try:
            for line in dump.stdout:
                if DEFINITION.match(line):
                    line = line.replace(source_definer, target_definer)
                loader.stdin.write(line)
            loader.stdin.close()
        except BrokenPipeError:
            end(dump)
        dump_error = dump.stderr.read()
        loader_error = loader.stderr.read()
        codes = dump.wait(), loader.wait()
    if codes[1] != 0:
        number = re.search(rb"ERROR \d+ \(\w+\) at line \d+", loader_error)
        raise Failed("the copy of the database was refused: %s" % (number.group().decode() if number else codes[1]))
    if codes[0] != 0:
        raise Failed("`mariadb-dump` failed with rc %d: %s" % (codes[0], dump_error.decode("utf-8", "replace")[-500:]))


def copy_uploads(params):
    """Packs as the one user, unpacks as the other."""
    source = os.path.join(params["source_root"], "shared/uploads")
    target = os.path.join(params["root"], "shared/uploads")
    pack = ["tar", "--create", "--file=-", "--directory=" + source, "."]
    unpack = ["tar", "--extract", "--file=-", "--directory=" + target, "--no-same-owner", "--no-overwrite-dir"]
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    with start(
        as_user(params["source"], params["source_root"], pack), stdin=quiet, stdout=pipe, stderr=pipe, cwd=source
    ) as packer, start(
        as_user(params["system"], params["root"], unpack), stdin=packer.stdout, stdout=quiet, stderr=pipe, cwd=target
    ) as unpacker:
        packer.stdout.close()
        error = unpacker.communicate()[1]
        error += packer.stderr.read()
        codes = packer.wait(), unpacker.wait()
    # tar returns 1 when a file changed while it was read; uploads of a living site do.
    if codes[0] not in (0, 1) or codes[1] != 0:
        raise Failed("the uploads could not be copied: %s" % error.decode("utf-8", "replace")[-500:])


def replacements(old_urls, new_url):
    """Pairs of texts: every spelling of every old address with its new one."""
    new = urlsplit(new_url)
    pairs = []
    for old_url in old_urls:
        old = urlsplit(old_url)
        if not old.netloc or old.netloc == new.netloc:
            continue
        for scheme in ("http", "https"):
            if scheme != new.scheme:
                pairs.append(("%s://%s" % (scheme, old.netloc), "%s://%s" % (new.scheme, new.netloc)))
        pairs.append(("//%s" % old.netloc, "//%s" % new.netloc))
    spelled = []
    for old, new in pairs:
        for spell in (str, lambda text: text.replace("/", "\\/"), lambda text: quote(text, safe="")):
            pair = (spell(old), spell(new))
            if pair not in spelled:
                spelled.append(pair)
    return spelled


def rewrite(site, old_urls, new_url):
    for old, new in replacements(old_urls, new_url):
        site.wp(
            ["search-replace", old, new, "--all-tables-with-prefix", "--skip-columns=guid", "--quiet"],
            timeout=1500,
        )


def clone(params):
    source = Site(params["source"], params["source_root"], params["php"])
    site = Site(params["system"], params["root"], params["php"])
    found = source.options({"home"})
    if found is None:
        raise Failed("the database `%s` holds no WordPress that could be copied" % source.system)
    old_urls = list(dict.fromkeys([found["siteurl"], found.get("home") or found["siteurl"]]))
    site.begin()
    copy_database(source.system, site.system)
    rewrite(site, old_urls, params["url"])
    address = mariadb.text(params["url"])
    mariadb.query(
        "UPDATE %soptions SET option_value = %s WHERE option_name IN ('siteurl', 'home');" % (PREFIX, address),
        database=site.system,
    )
    if params["uploads"]:
        copy_uploads(params)
    site.end()
    return {"from": old_urls, "to": params["url"]}


def carry_out(options, node):
    changes = mariadb.ensure_account(options["system"], options["database_password"], node.check_mode)
    whole = "database" not in changes and Site(options["system"], options["root"], options["php"]).options(set())
    if whole or node.check_mode:
        return {"changed": bool(changes) or not whole}
    try:
        return {"changed": True, "rewritten": clone(options)}
    except (Failed, OSError) as error:
        raise Failed("the environment could not be copied: %s" % error)
