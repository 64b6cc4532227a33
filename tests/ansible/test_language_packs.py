"""What of a language pack is placed: translations, and no code."""

import stat
import struct
import time
import unittest
import unittest.mock
import zipfile

from language_environment import CORE, MO, TEXTS, Environment, packed

from ansible_collections.pressluft.host.plugins.module_utils import language_pack


class Packs(Environment):
    def test_nothing_but_translations_into_the_language_is_taken(self):
        link = zipfile.ZipInfo("de_DE.mo")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        device = zipfile.ZipInfo("de_DE.po")
        device.external_attr = (stat.S_IFCHR | 0o666) << 16
        for name in (
            link,
            device,
            "../de_DE.mo",
            "/de_DE.mo",
            "de_DE.php",
            "fr_FR.mo",
            "de_DE_formal.mo",
            "de_DE.mo/x",
            "de_DE.mo\n",
            "plugins/../de_DE.mo",
            "plugins/x/a-de_DE.mo",
            "plugins/.htaccess",
            "plugins/shop-de_DE.php",
            "themes/-de_DE.mo",
            "mu-plugins/a-de_DE.mo",
            "de_DE-a.b.json",
            "uploads/",
            "x/",
        ):
            files = {"de_DE.l10n.php": TEXTS, name: MO}
            message = self.refused(self.pack(files))
            self.assertRegex(message, "is no translation into|no plain file", name)
        for name in ("de_DE.mo", "plugins/shop-de_DE.mo", "shop-fr_FR.mo", "shop.mo"):
            self.assertIn("is no translation", self.refused(self.pack(CORE), self.pack({name: MO}, kind="plugin", slug="shop")))
        self.assertNotIn("de_DE.mo", self.placed())

    def test_an_archive_has_bounds(self):
        with unittest.mock.patch("warnings.warn"):
            twice = packed({zipfile.ZipInfo("de_DE.mo"): MO, zipfile.ZipInfo("de_DE.mo"): MO})
        encrypted = bytearray(packed({"de_DE.mo": MO}))
        encrypted[encrypted.rfind(b"PK\x01\x02") + 8] |= 1
        many = {"plugins/p%d-de_DE.mo" % number: MO for number in range(4001)}
        long = packed({"de_DE.mo": MO})
        end = long.rfind(b"PK\x05\x06")
        listed = long[: end + 12] + struct.pack("<I", 1 << 30) + long[end + 16 :]
        packer = zipfile.ZipInfo("de_DE.mo")
        packer.compress_type = zipfile.ZIP_BZIP2
        for data, why in (
            (twice, "twice"),
            (bytes(encrypted), "encrypted"),
            (packed({packer: MO}), "packed in another way"),
            (packed(many), "more than 4000 files"),
            (packed({"de_DE.po": bytes(17 << 20)}), "larger than 16 MiB"),
            (packed({"plugins/p%d-de_DE.po" % number: bytes(15 << 20) for number in range(7)}), "larger than 96 MiB"),
            (listed, "no zip file"),
            (b"no archive", "no zip file"),
            (b"", "no zip file"),
            (bytes(33 << 20), "larger than 32 MiB"),
            (long[:40] + b"\0" * 8 + long[48:], "no zip file|CRC"),
        ):
            self.assertRegex(self.refused(self.pack(data=data)), why)
        self.assertEqual(self.placed(), [])

    def test_what_its_list_says_of_a_length_is_not_believed(self):
        data = bytearray(packed({"de_DE.po": bytes(20 << 20)}))
        for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
            place = data.rfind(mark) + at
            data[place : place + 4] = struct.pack("<I", 100)
        self.assertRegex(self.refused(self.pack(data=bytes(data))), "larger than 16 MiB|no zip file")

    def test_content_is_what_its_name_says(self):
        for name, content, why in (
            ("de_DE.mo", b"<?php", "none that WordPress reads"),
            ("de_DE.mo", b"", "none that WordPress reads"),
            ("de_DE-a.json", b"alert(1)", "no object of JSON"),
            ("de_DE-a.json", b"[" * 100000, "no object of JSON"),
        ):
            self.assertIn(why, self.refused(self.pack({"de_DE.l10n.php": TEXTS, name: content})))

    def test_a_list_of_texts_that_is_more_is_left_out(self):
        result = self.run_step(self.pack(dict(CORE, **{"de_DE.l10n.php": b"<?php return ['a' => evil()];"})))
        self.assertFalse(result.get("failed"), result.text)
        self.assertEqual(result["warnings"], ["`de_DE.l10n.php` is more than a list of texts, and left out"])
        self.assertEqual(self.placed(), sorted(set(CORE) - {"de_DE.l10n.php"}))
        self.assertIn("has no `de_DE.mo`", self.refused(self.pack({"de_DE.l10n.php": b"<?php return evil();"})))


class Texts(unittest.TestCase):
    def test_a_list_of_texts_runs_nothing(self):
        for text in (
            TEXTS,
            b"<?php return [];",
            b"<?php\nreturn ['a'=>'it\\'s','b'=>NULL,'c'=>-1,2=>'d',];",
            b"<?php\n\treturn [\n'messages' => [\n'Foo' => ['Bar'],\n],\n];\n",
        ):
            self.assertTrue(language_pack.is_list_of_texts(text), text)
        for text in (
            b"",
            b"<?php return ['a'=>b()];",
            b"<?php return ['system'('id')];",
            b"<?php return ['a'=>`id`];",
            b'<?php return ["{$a}"];',
            b"<?php return [$a];",
            b"<?php return [A];",
            b"<?php return [A::B];",
            b"<?php return ['a'][0];",
            b"<?php return ['a'=>['b'=>['c'=>['d']]]];",
            b"<?php evil(); return [];",
            b"<?php return []; evil();",
            b"<?php return []; ?><?php evil();",
            b"<?php return ['a\\'];",
            b"<?php return ['a' 'b'];",
            b"<?php return ['a'=>'b'",
            b"<?php return [/* */];",
            b"<?php return <<<A\nA;",
            b"x<?php return [];",
            b"<? return [];",
        ):
            self.assertFalse(language_pack.is_list_of_texts(text), text)

    def test_a_hostile_file_takes_no_more_time(self):
        for text in (
            b"<?php return " + b"[" * 1000000,
            b"<?php return [" + b"'a'=>" * 200000,
            b"<?php return [" + b"'a'." * 200000,
            b"<?php return [['x'=>['a'," + b"'b'," * 200000,
            b"<?php return ['" + b"\\" * 1000000,
            b"<?php return [" + b" " * 1000000,
            b"<?php " + b" " * 1000000,
            b"<?php return [" + b"1" * 1000000,
        ):
            begin = time.monotonic()
            self.assertFalse(language_pack.is_list_of_texts(text))
            self.assertLess(time.monotonic() - begin, 1)
