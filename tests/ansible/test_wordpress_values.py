"""What the WordPress modules compute before they touch anything: stored values, addresses, statements, archives."""

import os
import stat
import time
import unittest
import zipfile

from support import Scratch

from ansible_collections.pressluft.host.plugins.module_utils import mariadb, page, php, release
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed


class Values(unittest.TestCase):
    def test_options_are_stored_as_wordpress_stores_them(self):
        cases = [
            (None, ""),
            (False, ""),
            (True, "1"),
            (5, "5"),
            (2.0, "2"),
            ("it's é", "it's é"),
            ([], "a:0:{}"),
            (["é"], 'a:1:{i:0;s:2:"é";}'),
            ({"a": True, "7": None, "07": 1}, 'a:3:{s:1:"a";b:1;i:7;N;s:2:"07";i:1;}'),
            ({"-3": {"x": 0.5}}, 'a:1:{i:-3;a:1:{s:1:"x";d:0.5;}}'),
        ]
        for value, stored in cases:
            self.assertEqual(php.stored(value), stored)

    def test_an_expression_shows_nothing_of_a_text(self):
        self.assertEqual(mariadb.text("a'\\é"), "_utf8mb4 X'61275cc3a9'")
        for name in ("", "A", "a`b", "a b", "a;b", "-a", "a" * 65):
            with self.assertRaises(Failed):
                mariadb.checked(name)

    def test_fields_are_read_as_they_are_stored(self):
        self.assertEqual(mariadb.unescape("a\\tb\\nc\\\\n"), "a\tb\nc\\n")
        self.assertIsNone(mariadb.unescape("NULL"))

    def test_a_password_is_known_by_its_hash(self):
        self.assertEqual(mariadb.password_hash("password"), "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19")


class Pages(unittest.TestCase):
    def test_errors_count_in_the_page_and_not_in_its_scripts(self):
        script = "<script>catch('Uncaught')</script ><style\n>uncaught</style><p>Hello</p>"
        self.assertIsNone(page.complaint(page.spoken(script)))
        self.assertEqual(page.complaint(page.spoken("<b>Fatal error</b>: Uncaught Error")), "fatal error")
        self.assertEqual(page.complaint(page.spoken("<script>Uncaught")), "uncaught")
        self.assertEqual(page.complaint(page.spoken("<scripted>Uncaught</script>")), "uncaught")
        self.assertEqual(page.spoken("a<style>b</script></style>c<script>d</style></script>e"), "ace")

    def test_the_installer_is_known_by_its_form_and_its_address(self):
        self.assertTrue(page.is_installer('<form id="setup" method="post">'))
        self.assertTrue(page.is_installer("http://acme.example/wp-admin/install.php"))
        for text in ('<form id="other"><p id="setup">', '<form id="setup"', "form"):
            self.assertFalse(page.is_installer(text), text)

    def test_a_page_costs_what_its_length_costs(self):
        pieces = ("<form", "<script", "</script", "<style ", "<script></script", "<form ><script>", "</script ", "İ<form")
        for piece in pieces:
            text = piece * ((1 << 20) // len(piece))
            begin = time.process_time()
            page.is_installer(page.spoken(text))
            page.complaint(text)
            self.assertLess(time.process_time() - begin, 5, piece)


class Archives(Scratch):
    def archive(self, entries):
        path = self.path("wordpress.zip")
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in entries:
                archive.writestr(name, content)
        return zipfile.ZipFile(path)

    def test_the_version_comes_out_of_the_archive(self):
        with self.archive([("wordpress/wp-includes/version.php", "<?php\n$wp_version = '6.8.2';")]) as archive:
            self.assertEqual(release.version_of(archive), "6.8.2")
        for content in ("$wp_version = '../../x';", "nothing"):
            with self.archive([("wordpress/wp-includes/version.php", content)]) as archive:
                with self.assertRaises(Failed):
                    release.version_of(archive)

    def test_an_archive_reaches_nowhere_else(self):
        link = zipfile.ZipInfo("wordpress/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        for name in ("wordpress/../../x", "../x", "/x", "other/x", "wordpress/a\\b", link):
            target = self.path("target")
            os.makedirs(target, exist_ok=True)
            with self.archive([(name, "/etc")]) as archive:
                with self.assertRaises(Failed):
                    release.extract(archive, target)
            self.assertEqual(os.listdir(target), [])


if __name__ == "__main__":
    unittest.main()
