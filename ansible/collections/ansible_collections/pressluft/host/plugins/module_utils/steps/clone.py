"""Another environment's database and uploads, copied once.

Does nothing when the environment's database holds a whole installation. A table marks the database until the copy is
whole; a run that finds the mark starts again from nothing. The dump goes from server to server through a pipe and never
lies on a disk. Addresses are rewritten in every table and every spelling; posts keep their `guid`. What could not be
copied or rewritten is told. All of it happens with the rights of the two environments.
"""

from __future__ import annotations

from ansible_collections.pressluft.host.plugins.module_utils import accounts, copies, mariadb
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed
from ansible_collections.pressluft.host.plugins.module_utils.wordpress import INCOMPLETE, PREFIX, Site

SHOWN = 100
LONGEST = 500


def old_addresses(source, reader):
    """The addresses that the environment which is copied has, by what its own database says."""
    found = source.options({"home"}, reader)
    if found is None:
        raise Failed("the database `%s` holds no WordPress that could be copied" % source.system)
    addresses = list(dict.fromkeys([found["siteurl"], found.get("home") or found["siteurl"]]))
    for address in addresses:
        if len(address) > LONGEST or not address.isprintable():
            raise Failed("the database `%s` has no address that a site could have" % source.system)
    return addresses


def clone(params, node):
    # The job has no password of the environment that is copied, and needs none.
    source = Site(params["source"], params["source_root"], params["php"], None)
    site = Site(params["system"], params["root"], params["php"], params["database_password"])
    clock = copies.Time()
    copies.drop_leftovers()
    with copies.account(source.system, copies.READER) as reader:
        old_urls = old_addresses(source, reader)
        site.begin()
        left = copies.copy_tables(source, site, reader, clock)
    rows, old = copies.rewrite_addresses(site, old_urls, params["url"], INCOMPLETE, clock.left())
    address = mariadb.text(params["url"])
    statement = "UPDATE %soptions SET option_value = %s WHERE option_name IN ('siteurl', 'home');\n" % (PREFIX, address)
    mariadb.ask(site, site.password, statement)
    if params["uploads"]:
        copies.copy_uploads(source, site, clock)
    site.end()
    told = ["not copied: %s" % what for what in left] + ["not rewritten: %s" % place for place in old]
    for text in told[: copies.NAMED]:
        node.warn("`%s`, %s" % (source.system, text))
    return {"from": old_urls, "to": params["url"], "rows": rows}, told


def carry_out(options, node):
    site = Site(options["system"], options["root"], options["php"], options["database_password"])
    rows, found = site.look(set())
    limit = accounts.connections(options["workers"])
    changes, _ = accounts.ensure(options["system"], options["database_password"], limit, node.check_mode, rows)
    if isinstance(found, Failed) and "database" not in changes and not node.check_mode:
        found = site.options(set())
    whole = bool(found) and not isinstance(found, Failed)
    if whole or node.check_mode:
        return {"changed": bool(changes) or not whole}
    try:
        rewritten, told = clone(options, node)
    # An address that a site has made up may be none.
    except (Failed, OSError, ValueError) as error:
        raise Failed("the environment could not be copied: %s" % error)
    result = {"changed": True, "rewritten": rewritten}
    if told:
        shown = told[:SHOWN] + (["%d more" % (len(told) - SHOWN)] if told[SHOWN:] else [])
        result["msg"] = "\n".join(shown)
        if node.want_diff:
            result["diff"] = {"prepared": "".join(" %s\n" % text for text in shown)}
    return result
