"""Another environment's database and uploads, copied once.

Does nothing when the environment's database holds a whole installation. A table marks the database until the copy is
whole; a run that finds the mark starts again from nothing. The dump goes from server to server through a pipe and never
lies on a disk. Addresses are rewritten in serialised data too, in their plain, JSON-escaped and percent-encoded spelling;
`guid` columns keep theirs. All of it happens with the rights of the two environments.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from ansible_collections.pressluft.host.plugins.module_utils import accounts, copies, mariadb
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed
from ansible_collections.pressluft.host.plugins.module_utils.wordpress import PREFIX, Site

REWRITE_SECONDS = 1500
SHOWN = 100
LONGEST = 500
# One start of WordPress for all of them.
REWRITE = """
foreach ( $values as list( $old, $new ) ) {
    WP_CLI::run_command(
        array( 'search-replace', $old, $new ),
        array( 'all-tables-with-prefix' => true, 'skip-columns' => 'guid', 'report' => false )
    );
}
echo "\\x1e", json_encode( true );
"""


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
    copies.drop_leftovers()
    with copies.account(source.system, copies.READER) as reader:
        old_urls = old_addresses(source, reader)
        site.begin()
        left = copies.copy_tables(source, site, reader)
    pairs = replacements(old_urls, params["url"])
    if pairs:
        site.evaluate(REWRITE, pairs, timeout=REWRITE_SECONDS)
    address = mariadb.text(params["url"])
    statement = "UPDATE %soptions SET option_value = %s WHERE option_name IN ('siteurl', 'home');\n" % (PREFIX, address)
    mariadb.ask(site, site.password, statement)
    if params["uploads"]:
        copies.copy_uploads(source, site)
    site.end()
    if left:
        cut = " and %d more" % (len(left) - copies.NAMED) if left[copies.NAMED :] else ""
        node.warn("not copied from `%s`: %s%s" % (source.system, ", ".join(left[: copies.NAMED]), cut))
    return {"from": old_urls, "to": params["url"]}, left


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
        rewritten, left = clone(options, node)
    # An address that a site has made up may be none.
    except (Failed, OSError, ValueError) as error:
        raise Failed("the environment could not be copied: %s" % error)
    result = {"changed": True, "rewritten": rewritten}
    if node.want_diff and left:
        shown = left[:SHOWN] + (["%d more" % (len(left) - SHOWN)] if left[SHOWN:] else [])
        result["diff"] = {"prepared": "".join(" not copied: %s\n" % what for what in shown)}
    return result
