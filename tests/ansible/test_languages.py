"""The language of an environment: which packs it takes, where from, and what is put back."""

import hashlib
import http.server
import json
import os
import shutil
import stat
import threading
import unittest.mock

from language_environment import CORE, MO, RELEASE, SHOP, Environment, packed
from support import NOBODY, run_module

from ansible_collections.pressluft.host.plugins.module_utils import download, installed
from ansible_collections.pressluft.host.plugins.module_utils.converge import Run
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed
from ansible_collections.pressluft.host.plugins.module_utils.steps import languages


class Languages(Environment):
    def test_what_is_there_is_translated_and_a_second_run_does_nothing(self):
        core = self.pack(CORE)
        shop = self.pack(SHOP, kind="plugin", slug="shop")
        theme = self.pack({"plain-de_DE.mo": MO}, kind="theme", slug="plain", version="1.0")
        other = self.pack({"gone-de_DE.mo": MO}, kind="plugin", slug="gone")
        all_of = [core, shop, theme, other]
        expected = ["de_DE of WordPress 6.8.2", "de_DE of the plugin `shop`", "de_DE of the theme `plain`"]
        self.assertEqual(self.apply(*all_of, check=True), expected)
        self.assertEqual(self.placed(), [])
        self.assertEqual(self.apply(*all_of), expected)
        below = ["plugins/" + name for name in SHOP] + ["themes/plain-de_DE.mo"]
        self.assertEqual(self.placed(), sorted(list(CORE) + below))
        for name in self.placed():
            status = os.lstat(os.path.join(self.languages, name))
            self.assertEqual((status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)), (0, 0, 0o640), name)
        # Nothing that is placed already has to be had again.
        for pack in all_of:
            os.unlink(self.uploads[pack["checksum"].partition(":")[2]])
            pack["problem"] = "it is gone"
        self.assertEqual(self.apply(*all_of), [])
        self.assertEqual(self.apply(*all_of, check=True), [])

    def test_what_is_missing_or_changed_is_told_and_put_back(self):
        core = self.pack(CORE)
        self.apply(core)
        path = os.path.join(self.languages, "de_DE.mo")

        def write(content):
            with open(path, "wb") as stream:
                stream.write(content)

        def become(target):
            os.unlink(path)
            os.symlink(target, path)

        for change, told in (
            (lambda: os.unlink(path), "de_DE of WordPress 6.8.2"),
            (lambda: write(MO + b"x"), "de_DE of WordPress 6.8.2"),
            (lambda: write(bytes(len(MO))), "de_DE of WordPress 6.8.2"),
            (lambda: become("/etc/passwd"), "de_DE of WordPress 6.8.2"),
            (lambda: os.chmod(path, 0o666), "owner or mode of de_DE.mo"),
            (lambda: os.chown(path, NOBODY.pw_uid, 0), "owner or mode of de_DE.mo"),
        ):
            change()
            self.assertEqual(self.apply(core, check=True), [told])
            self.assertEqual(self.apply(core), [told])
            self.assertEqual(self.apply(core, check=True), [])
            with open(path, "rb") as stream:
                self.assertEqual(stream.read(), MO)
        # A restored backup has other inodes and times.
        os.rename(path, path + ".old")
        shutil.copy2(path + ".old", path)
        os.unlink(path + ".old")
        self.assertEqual(self.apply(core, check=True), [])
        # Of which only the mode is another, nothing has to be fetched.
        os.chmod(path, 0o600)
        self.assertEqual(self.apply(dict(core, problem="it is gone")), ["owner or mode of de_DE.mo"])

    def test_another_language_leaves_the_files_of_the_last_one(self):
        german, french = self.pack(CORE), self.pack({"fr_FR.mo": MO})
        self.apply(german)
        self.assertEqual(self.apply(french, locale="fr_FR"), ["fr_FR of WordPress 6.8.2"])
        self.assertEqual(self.placed(), sorted([*CORE, "fr_FR.mo"]))
        self.assertEqual(self.apply(locale="en_US"), [])
        self.assertEqual(self.apply(german), [])

    def test_another_pack_takes_the_place_of_the_last_one(self):
        self.apply(self.pack(CORE))
        new = self.pack({"de_DE.mo": MO + b"new"})
        self.assertEqual(self.apply(new), ["de_DE of WordPress 6.8.2"])
        self.assertEqual(self.placed(), ["de_DE.mo"])
        self.assertEqual(self.apply(new), [])

    def test_the_pack_of_the_version_comes_before_the_one_for_all(self):
        right = self.pack({"de_DE.mo": MO + b"right"}, version="6.8.2")
        others = [self.pack({"de_DE.mo": MO + b"all"}), self.pack({"de_DE.mo": MO + b"old"}, version="6.8.1")]
        self.apply(*others, right)
        self.assertEqual(self.content("de_DE.mo"), MO + b"right")
        self.apply(*others)
        self.assertEqual(self.content("de_DE.mo"), MO + b"all")
        self.assertIn("`sources.languages` has no language pack for", self.refused(others[1]))

    def test_a_pack_of_wordpress_may_hold_the_others_and_their_own_come_before_it(self):
        name = "plugins/shop-de_DE.mo"
        whole = self.pack(dict(CORE, **{"plugins/": b"", name: MO + b"whole", "themes/plain-de_DE.mo": MO}))
        own = self.pack({"shop-de_DE.mo": MO + b"own"}, kind="plugin", slug="shop")
        self.apply(whole, own)
        self.assertEqual(self.content(name), MO + b"own")
        self.assertEqual(self.apply(whole, own, check=True), [])
        self.apply(whole)
        self.assertEqual(self.content(name), MO + b"whole")
        self.apply(whole, own)
        self.assertEqual(self.content(name), MO + b"own")
        os.unlink(os.path.join(self.languages, "de_DE.mo"))
        self.apply(whole, own)
        self.assertEqual(self.content(name), MO + b"own")
        self.assertEqual(self.apply(whole, own), [])

    def test_two_packs_that_bring_the_same_file_are_a_mistake(self):
        shop = self.pack(SHOP, kind="plugin", slug="shop")
        os.makedirs(self.inside("wp-content/plugins/more"))
        with open(self.inside("wp-content/plugins/more/more.php"), "w") as stream:
            stream.write("<?php\n// Plugin Name: More")
        more = self.pack({"shop-de_DE.mo": MO + b"more"}, kind="plugin", slug="more")
        self.assertIn("both bring `plugins/shop-de_DE.mo`", self.refused(self.pack(CORE), shop, more))

    def test_what_cannot_be_had_fails_and_is_no_finding_that_fails(self):
        core = self.pack(CORE)
        self.assertEqual(self.apply(check=True), ["`sources.languages` has no language pack for de_DE of WordPress 6.8.2"])
        self.assertEqual(self.run_step()["code"], "LANGUAGE_UNAVAILABLE")
        message = self.refused(dict(core, problem="`a.zip` is not there"))
        self.assertEqual(message, "de_DE of WordPress 6.8.2 cannot be had: `a.zip` is not there")
        wrong = dict(core, checksum="sha256:" + "0" * 64)
        self.uploads["0" * 64] = self.uploads[core["checksum"].partition(":")[2]]
        self.assertIn("its SHA256 is another", self.refused(wrong))
        self.assertIn("has no `de_DE.mo`", self.refused(self.pack({"admin-de_DE.mo": MO})))
        self.assertEqual(self.placed(), [])
        self.assertIn("is no language", self.refused(locale="../x"))

    def test_what_was_placed_before_a_failure_stays_known(self):
        core, shop = self.pack(CORE), self.pack(SHOP, kind="plugin", slug="shop")
        self.assertIn("gone", self.refused(dict(core, problem="gone"), shop))
        self.assertEqual(self.apply(core, shop), ["de_DE of WordPress 6.8.2"])

    def test_an_environment_that_is_not_there_yet_differs(self):
        options = dict(self.options(), state_dir=self.path("none"))
        arguments = {"steps": [{"kind": "languages", "options": options}], "_ansible_check_mode": True}
        self.assertEqual(run_module("converge", arguments)["changes"], ["everything"])
        os.unlink(os.path.join(self.root, "current"))
        self.assertEqual(self.apply(locale="en_US"), [])
        self.assertEqual(self.apply(check=True), ["de_DE"])
        self.assertIn("serves no release", self.refused())

    def test_what_a_release_brings_is_taken_along(self):
        folder = self.inside("wp-content/languages")
        os.makedirs(os.path.join(folder, "plugins"))
        for name, content in {
            "de_DE.mo": MO,
            "fr_FR.mo": MO,
            "plugins/shop-de_DE.mo": MO + b"release",
            "de_DE.php": b"<?php evil();",
            "readme.txt": b"",
        }.items():
            with open(os.path.join(folder, name), "wb") as stream:
                stream.write(content)
        os.symlink("/etc/passwd", os.path.join(folder, "de_AT.mo"))
        brought = ["de_DE.mo", "fr_FR.mo", "plugins/shop-de_DE.mo"]
        for locale in ("en_US", "de_DE"):
            self.apply(locale=locale, official=True)
            self.assertEqual(self.placed(), brought)
        # The fleet's own come before it.
        self.apply(self.pack({"shop-de_DE.mo": MO + b"own"}, kind="plugin", slug="shop"))
        self.assertEqual(self.content("plugins/shop-de_DE.mo"), MO + b"own")
        self.assertEqual(self.apply(locale="de_DE", official=True), ["what the release brings"])
        self.assertEqual(self.content("plugins/shop-de_DE.mo"), MO + b"release")

    def test_a_pack_may_lie_at_an_address(self):
        data = packed(CORE)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = "http://127.0.0.1:%d/de_DE.zip" % server.server_port
        pack = dict(self.pack(data=data), url=url, uploaded=False)
        self.apply(dict(pack, checksum="sha512:" + hashlib.sha512(data).hexdigest()))
        self.assertEqual(self.placed(), sorted(CORE))
        self.assertIn("its SHA256 is another", self.refused(dict(pack, checksum="sha256:" + "0" * 64)))
        self.assertEqual(sorted(os.listdir(self.state)), ["fence", "fence.lock", "languages.json"])

    def test_cached_pages_go_with_the_words_that_they_were_made_of(self):
        options = dict(self.options(self.pack(CORE)), pages=True)
        with unittest.mock.patch.object(languages, "run") as run:
            for _ in range(2):
                languages.carry_out(options, Run(False, False))
        run.assert_called_once_with(["/usr/local/lib/pressluft/purge-pages", "root"], timeout=180)

    def test_pages_that_were_not_emptied_are_emptied_by_the_next_run(self):
        options = dict(self.options(self.pack(CORE)), pages=True)
        with unittest.mock.patch.object(languages, "run", side_effect=Failed("nginx goes on")):
            with self.assertRaises(Failed):
                languages.carry_out(options, Run(False, False))
        with unittest.mock.patch.object(languages, "run") as run:
            for _ in range(2):
                languages.carry_out(options, Run(False, False))
        run.assert_called_once()

    def test_the_control_plane_gives_what_is_needed_and_nothing_else(self):
        def given(**pack):
            data = packed(pack.pop("files"))
            path = self.path(hashlib.sha256(data).hexdigest() + ".zip")
            with open(path, "wb") as stream:
                stream.write(data)
            return dict(pack, src=path, checksum="sha256:" + hashlib.sha256(data).hexdigest())

        packs = [given(kind="core", files=CORE), given(kind="plugin", slug="gone", files={"gone-de_DE.mo": MO})]
        options = {"system": "root", "root": self.root, "state_dir": self.state, "locale": "de_DE", "packs": packs}
        step = {"name": "Languages", "languages": options}

        def statuses():
            events = self.events([self.converge(step)])
            return [(event["action"], event["status"]) for event in events if event["event"] == "task"]

        os.unlink(packs[1]["src"])
        self.assertEqual(statuses(), [("pressluft.host.languages", "changed")])
        self.assertEqual(self.placed(), sorted(CORE))
        self.assertEqual(os.listdir(os.path.join(self.state, "cache")), [])
        os.unlink(packs[0]["src"])
        self.assertEqual(statuses(), [("pressluft.host.languages", "ok")])


class Official(Environment):
    """WordPress.org, of which the two things that are asked of it are here."""

    def serve(self, found):
        self.asked = []

        def answer(url, target, allowed, largest, seconds=0):
            self.asked.append(url)
            if url not in found:
                raise Failed("`%s` cannot be fetched: no answer" % url)
            target.write(found[url])

        patch = unittest.mock.patch.object(download, "download", answer)
        patch.start()
        self.addCleanup(patch.stop)

    def carry_out(self):
        options = self.options(official=True)
        return languages.carry_out(options, Run(False, False))["changes"]

    API = "https://api.wordpress.org/translations/%s/1.0/?version=%s"
    PACKAGE = "https://downloads.wordpress.org/translation/core/6.8.2/de_DE.zip"

    def listing(self, *packages, language="de_DE"):
        return json.dumps({"translations": [{"language": language, "package": url} for url in packages]}).encode()

    def test_it_is_asked_for_what_is_there_once(self):
        found = {
            self.API % ("core", "6.8.2"): self.listing(self.PACKAGE),
            self.PACKAGE: packed(CORE),
            self.API % ("plugins", "2.1&slug=shop"): self.listing("x", language="fr_FR"),
            self.API % ("themes", "1.0&slug=plain"): b'{"error": "no such theme"}',
        }
        self.serve(found)
        self.assertEqual(len(self.carry_out()), 3)
        self.assertEqual(self.placed(), sorted(CORE))
        self.assertEqual(set(self.asked), set(found))
        del self.asked[:]
        self.assertEqual(self.carry_out(), [])
        self.assertEqual(self.asked, [])
        # What comes from elsewhere is not asked for, and another version is another pack.
        with open(self.inside("wp-content/plugins/shop/shop.php"), "w") as stream:
            stream.write("<?php\n/*\nPlugin Name: Shop\nUpdate URI: https://shop.example/\n*/")
        with open(self.inside("wp-content/themes/plain/style.css"), "w") as stream:
            stream.write("/*\nTheme Name: Plain\nVersion: 1.1\n*/")
        found[self.API % ("themes", "1.1&slug=plain")] = self.listing()
        self.assertEqual(self.carry_out(), ["de_DE of the theme `plain`"])

    def test_what_it_does_not_have_or_say_fails(self):
        api = self.API % ("core", "6.8.2")
        for answer, why in (
            (None, "cannot be fetched"),
            (self.listing(), "WordPress.org has no translation"),
            (b"<html>", "does not answer as it should"),
            (b"[]", "does not answer as it should"),
            (b'{"translations": [7]}', "does not answer as it should"),
            (self.listing("https://evil.example/de_DE.zip"), "at another place"),
            (self.listing("https://downloads.wordpress.org/translation/../x?y"), "at another place"),
        ):
            self.serve({} if answer is None else {api: answer})
            shutil.rmtree(self.inside("wp-content"), ignore_errors=True)
            with self.assertRaises(Failed) as caught:
                self.carry_out()
            self.assertEqual(caught.exception.details, {"code": "LANGUAGE_UNAVAILABLE"})
            self.assertIn(why, str(caught.exception))


class Components(Environment):
    def test_heads_are_read_as_wordpress_does(self):
        found = [tuple(component) for component in installed.components(self.path("production"), RELEASE)]
        expected = [("core", "", "6.8.2", True), ("plugin", "shop", "2.1", True), ("theme", "plain", "1.0", True)]
        self.assertEqual(found, expected)
        with open(self.inside("wp-content/plugins/shop/shop.php"), "wb") as stream:
            stream.write(b"<?php\n# plugin name: x\r\n# Version: ../../etc\r\n# Update URI: http://wordpress.org/plugins/x/\r\n")
        self.assertEqual(installed.components(self.path("production"), RELEASE)[1], ("plugin", "shop", None, True))
        os.unlink(self.inside("wp-content/themes/plain/style.css"))
        os.mkfifo(self.inside("wp-content/themes/plain/style.css"))
        self.assertEqual(len(installed.components(self.path("production"), RELEASE)), 2)
