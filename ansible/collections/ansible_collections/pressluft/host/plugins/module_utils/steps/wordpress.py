"""WordPress, installed and with its options as the document says.

Makes the database and its user, installs WordPress unless the database holds an installation, and sets the options that
differ. Whether WordPress is installed is read from the database and never from a file that unpacking could have made.
Some options are changed by WordPress when they are saved. What came out is remembered next to what was asked for, so that
an option counts as set until one of the two moves.
"""

from __future__ import annotations

import json
import os

from ansible_collections.pressluft.host.plugins.module_utils import accounts, php
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run
from ansible_collections.pressluft.host.plugins.module_utils.wordpress import Site

# WordPress takes no language whose translations it does not find, and goes on with the one that it has.
LANGUAGE = "WPLANG"
SAVE_OPTIONS = """
foreach ( $values as $name => $value ) {
    if ( in_array( $name, array( 'siteurl', 'home' ), true ) ) {
        // WordPress cleans addresses by the protocol of the request.
        $GLOBALS['wpdb']->update( $GLOBALS['wpdb']->options, array( 'option_value' => $value ), array( 'option_name' => $name ) );
        wp_cache_delete( 'alloptions', 'options' );
    } else {
        update_option( $name, $value );
    }
}
echo "\\x1e", json_encode( true );
"""


def install(site, url, values):
    site.begin()
    arguments = [
        "core",
        "install",
        "--url=" + url,
        "--title=" + values["title"],
        "--admin_user=" + values["user"],
        "--admin_email=" + values["email"],
        "--skip-email",
        "--prompt=admin_password",
    ]
    site.wp(arguments, stdin=values["password"] + "\n")
    # Without a web server to ask, WordPress starts with addresses like `/?p=1`.
    site.evaluate(SAVE_OPTIONS, {"permalink_structure": "/%postname%/"})
    site.end()


def resolved(value, secrets):
    """An option's value, or the secret that it refers to."""
    if not isinstance(value, str) or not value.startswith("secret:"):
        return value
    name = value[len("secret:") :]
    if name not in secrets:
        raise Failed("no secret `%s` was handed to the job" % name)
    return secrets[name]


class Memory:
    """What options were asked for and what WordPress made of it."""

    def __init__(self, state_dir):
        self.path = os.path.join(state_dir, "options.json")
        try:
            with open(self.path, encoding="utf-8") as stream:
                self.entries = json.load(stream)
        except (OSError, ValueError):
            self.entries = {}

    def agrees(self, name, wanted, found):
        """Whether an option counts as set: as asked for, or as WordPress saved it then."""
        if name == LANGUAGE:
            return (found or "") == wanted
        return found == wanted or self.entries.get(name) == [wanted, found]

    def keep(self, wanted, found):
        self.entries = {name: [wanted[name], found.get(name)] for name in wanted if found.get(name) != wanted[name]}
        temporary = self.path + ".new"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump(self.entries, stream)
        os.rename(temporary, self.path)


def apply(params, check_mode):
    site = Site(params["system"], params["root"], params["php"], params["database_password"])
    values = {name: resolved(value, params["secrets"]) for name, value in params["options"].items()}
    values.update(siteurl=params["url"], home=params["url"])
    wanted = {name: php.stored(value) for name, value in values.items()}
    rows, found = site.look(wanted)
    limit = accounts.connections(params["workers"])
    changes, wider = accounts.ensure(site.system, params["database_password"], limit, check_mode, rows)
    if isinstance(found, Failed):
        if check_mode and {"database", "user", "password", "password's end", "limits", "grants"} & set(changes):
            # The account is going to be mended; until then it may not be able to ask.
            return changes, wider
        found = site.options(wanted)
    if found is None:
        if params["install"] is None:
            raise Failed("the database `%s` holds no WordPress" % site.system)
        changes.append("installation")
        if check_mode:
            return changes + ["option %s" % name for name in sorted(params["options"])], wider
        install(site, params["url"], params["install"])
        found = site.options(wanted)
        if found is None:
            raise Failed("WordPress says that it is installed, and the database holds nothing of it")
    memory = Memory(params["state_dir"])
    differing = sorted(name for name in wanted if not memory.agrees(name, wanted[name], found.get(name)))
    changes += ["option %s" % name for name in differing]
    if differing and not check_mode:
        site.evaluate(SAVE_OPTIONS, {name: values[name] for name in differing})
        found = site.options(wanted)
        memory.keep(wanted, found)
        if LANGUAGE in wanted and not memory.agrees(LANGUAGE, wanted[LANGUAGE], found.get(LANGUAGE)):
            why = "WordPress does not take the language `%s`" % wanted[LANGUAGE]
            raise Failed(why, code="LANGUAGE_UNAVAILABLE")
    changes += units(params["units"], check_mode)
    return changes, wider


def units(names, check_mode):
    if not names:
        return []
    # Its exit code says that one of them is.
    states = run(["systemctl", "is-active", "--"] + names, check=False).stdout.split()
    if states == ["active"] * len(names):
        return []
    if not check_mode:
        run(["systemctl", "start", "--"] + names)
    return ["units %s" % ", ".join(names)]


def carry_out(options, node):
    if node.check_mode and not os.path.isdir(options["state_dir"]):
        return {"changed": True, "changes": ["everything"]}
    changes, wider = apply(options, node.check_mode)
    result = {"changed": bool(changes), "changes": changes}
    if wider and node.check_mode:
        # A job revokes it, and somebody has to know how it came about.
        result["by_hand"] = ["the account of the database has %s" % what for what in wider]
    if node.want_diff and changes:
        result["diff"] = {"before": "", "after": "".join("%s\n" % change for change in changes)}
    return result
