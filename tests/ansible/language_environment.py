"""An environment that has a release with a plugin and a theme, and language packs for it."""

import hashlib
import io
import os
import zipfile

from support import Scratch, run_module

MO = b"\xde\x12\x04\x95" + bytes(24)
TEXTS = b"<?php\nreturn ['x-generator'=>'GlotPress/4.0','messages'=>['a' . \"\\0\" . 'b'=>'c','d'=>['e','f'],],];\n"
RELEASE = "wordpress-6.8.2-0123456789ab"
CORE = {"de_DE.mo": MO, "de_DE.po": b"msgid", "de_DE.l10n.php": TEXTS, "de_DE-0123abcd.json": b"{}", "admin-de_DE.mo": MO}
SHOP = {"shop-de_DE.mo": MO, "shop-de_DE-wp-shop.json": b"{}"}


def packed(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


class Environment(Scratch):
    def setUp(self):
        super().setUp()
        self.root, self.languages = self.path("production"), self.path("production", "shared", "languages")
        for name in ("plugins", "themes"):
            os.makedirs(os.path.join(self.languages, name))
        for name in ("wp-includes", "wp-content/plugins/shop", "wp-content/plugins/empty", "wp-content/themes/plain"):
            os.makedirs(self.inside(name))
        for name, content in {
            "wp-load.php": "<?php",
            "wp-includes/version.php": "<?php\n$wp_version = '6.8.2';",
            "wp-content/plugins/shop/a.php": "<?php // no head",
            "wp-content/plugins/shop/shop.php": "<?php\n/**\n * Plugin Name: Shop\n * Version: 2.1\n */",
            "wp-content/themes/plain/style.css": "/*\nTheme Name: Plain\nVersion: 1.0\n*/",
        }.items():
            with open(self.inside(name), "w") as stream:
                stream.write(content)
        os.symlink("releases/" + RELEASE, os.path.join(self.root, "current"))
        os.makedirs(self.state)
        self.uploads = {}

    def inside(self, name):
        return self.path("production", "releases", RELEASE, name)

    def pack(self, files=None, data=None, **more):
        data = packed(files) if data is None else data
        digest = hashlib.sha256(data).hexdigest()
        self.uploads[digest] = self.path(digest)
        with open(self.uploads[digest], "wb") as stream:
            stream.write(data)
        plain = {"kind": "core", "slug": None, "version": None, "url": None, "problem": None, "uploaded": True}
        return dict(plain, checksum="sha256:" + digest, **more)

    def options(self, *packs, locale="de_DE", official=False):
        options = {"system": "root", "root": self.root, "state_dir": self.state, "locale": locale}
        return dict(options, packs=list(packs), official=official, allow_private=["127.0.0.0/8"], uploads=self.uploads, pages=False)

    def run_step(self, *packs, check=False, locale="de_DE", official=False):
        options = self.options(*packs, locale=locale, official=official)
        step = {"kind": "languages", "options": options}
        arguments = {"steps": [step], "state_dir": self.state, "_ansible_check_mode": check, "_ansible_diff": True}
        return run_module("converge", arguments)

    def apply(self, *packs, **more):
        result = self.run_step(*packs, **more)
        self.assertFalse(result.get("failed"), result.text)
        return result["changes"]

    def refused(self, *packs, **more):
        result = self.run_step(*packs, **more)
        self.assertTrue(result.get("failed"), result.text)
        return result["msg"]

    def placed(self):
        found = []
        for folder, _, files in os.walk(self.languages):
            found += [os.path.relpath(os.path.join(folder, name), self.languages) for name in files]
        return sorted(found)

    def content(self, name):
        with open(os.path.join(self.languages, name), "rb") as stream:
            return stream.read()
