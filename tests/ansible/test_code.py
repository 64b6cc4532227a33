"""What an environment serves, compared with what was put there."""

import os
import stat
import subprocess
import zipfile

from support import NOBODY, Scratch, run_module
from test_tree_acl import ACCESS, acl_of

from ansible_collections.pressluft.host.plugins.module_utils import manifest, release

FILES = {
    "wp-load.php": "<?php // loads",
    "wp-login.php": "<?php // logs in",
    "wp-includes/version.php": "<?php $wp_version = '6.8.2';",
    "wp-admin/css/a b.css": "a {}",
    "wp-content/plugins/hello.php": "<?php // hello",
}


class Code(Scratch):
    def setUp(self):
        super().setUp()
        self.name = self.build("production")

    def build(self, environment):
        os.makedirs(self.path(environment, "releases"))
        archive = self.path("wordpress.zip")
        with zipfile.ZipFile(archive, "w") as target:
            for name, content in FILES.items():
                entry = zipfile.ZipInfo("wordpress/" + name)
                target.writestr(entry, content)
        name, is_new = release.from_archive(self.path(environment), archive, 0)
        self.assertTrue(is_new)
        release.switch(self.path(environment), name)
        return name

    def inside(self, *names):
        return self.path("production", "releases", self.name, *names)

    def look(self, recorded=None, environment="production"):
        step = {"kind": "code", "options": {"root": self.path(environment), "release": recorded}}
        arguments = {"steps": [step], "state_dir": self.state, "_ansible_check_mode": True, "_ansible_diff": True}
        result = run_module("converge", arguments)
        self.assertFalse(result.get("failed"), result.text)
        self.assertEqual(result["changed"], bool(result["changes"]))
        if result["changed"]:
            self.assertEqual(result["diff"]["prepared"].splitlines(), result["changes"])
        return result["changes"]

    def test_what_was_put_there_is_no_difference(self):
        self.assertEqual(self.look(), [])
        self.assertEqual(self.look(self.name), [])

    def test_a_list_that_lets_others_read_is_told(self):
        folder, place = self.inside("wp-content", "plugins"), self.inside("wp-load.php")
        os.setxattr(folder, ACCESS, acl_of(NOBODY.pw_uid, 5, mask=5))
        os.setxattr(place, ACCESS, acl_of(NOBODY.pw_uid, 4, owner=6, mask=4))
        told = "-%s has an access list: user %d %s"
        expected = [told % ("wp-load.php", NOBODY.pw_uid, "r--"), "+wp-load.php has none"]
        expected += [told % ("wp-content/plugins", NOBODY.pw_uid, "r-x"), "+wp-content/plugins has none"]
        self.assertEqual(self.look(), expected)

    def test_a_release_that_was_given_to_another_group_is_told(self):
        for folder, _, files in os.walk(self.inside()):
            for place in [folder] + [os.path.join(folder, name) for name in files]:
                os.chown(place, 0, NOBODY.pw_gid, follow_symlinks=False)
        lines = self.look()
        self.assertEqual(lines[:2], ["-. belongs to group %d" % NOBODY.pw_gid, "+. belongs to group 0"])
        self.assertIn("-wp-load.php belongs to group %d" % NOBODY.pw_gid, lines)

    def test_each_kind_of_difference_is_told(self):
        with open(self.inside("wp-includes", "version.php"), "a") as stream:
            stream.write(" evil();")
        os.unlink(self.inside("wp-login.php"))
        os.mkdir(self.inside("wp-admin", "more"))
        with open(self.inside("wp-admin", "more", "shell.php"), "w") as stream:
            stream.write("<?php")
        os.chown(self.inside("wp-load.php"), NOBODY.pw_uid, 0)
        os.chmod(self.inside("wp-admin", "css"), 0o777)
        os.unlink(self.inside("wp-admin", "css", "a b.css"))
        os.symlink("/etc/passwd", self.inside("wp-admin", "css", "a b.css"))
        lines = self.look()
        told = [line.partition(" sha256:")[0] for line in lines]
        self.assertEqual(
            told,
            [
                "-wp-admin/css belongs to user 0 with mode 0777",
                "+wp-admin/css is written by root alone",
                "-wp-admin/css/a b.css is no file of WordPress",
                "+wp-admin/css/a b.css",
                "-wp-admin/more",
                "-wp-admin/more/shell.php",
                "-wp-includes/version.php",
                "+wp-includes/version.php",
                "-wp-load.php belongs to user %d with mode 0640" % NOBODY.pw_uid,
                "+wp-load.php is written by root alone",
                "+wp-login.php",
            ],
        )

    def test_the_configuration_is_the_one_outside_of_releases(self):
        os.unlink(self.inside("wp-config.php"))
        self.assertEqual(self.look(), ["+wp-config.php"])
        os.symlink("../../shared/uploads/x.php", self.inside("wp-config.php"))
        expected = ["-wp-config.php -> ../../shared/uploads/x.php", "+wp-config.php -> ../../shared/wp-config.php"]
        self.assertEqual(self.look(), expected)
        os.unlink(self.inside("wp-config.php"))
        with open(self.inside("wp-config.php"), "w"):
            pass
        self.assertEqual(self.look(), ["-wp-config.php is no link", expected[1]])

    def test_what_a_file_has_become_is_not_waited_for(self):
        os.unlink(self.inside("wp-login.php"))
        os.mkfifo(self.inside("wp-login.php"))
        with open(self.inside("wp-load.php"), "r+b") as stream:
            stream.truncate(1 << 40)
        told = [line.partition(" sha256:")[0] for line in self.look()]
        self.assertEqual(
            told,
            [
                "-wp-load.php is no file of WordPress",
                "+wp-load.php",
                "-wp-login.php is no file of WordPress",
                "+wp-login.php",
            ],
        )

    def test_a_release_that_others_can_write_into_is_told(self):
        os.chmod(self.inside(), 0o777)
        self.assertEqual(self.look(), ["-. belongs to user 0 with mode 0777", "+. is written by root alone"])

    def test_plugins_and_uploads_are_no_difference(self):
        with open(self.inside("wp-content", "plugins", "hello.php"), "a") as stream:
            stream.write("x")
        self.assertEqual(self.look(), [])

    def test_another_release_than_the_recorded_one_is_told(self):
        self.assertEqual(
            self.look("wordpress-6.8.1-0123"), ["-serves %s" % self.name, "+serves wordpress-6.8.1-0123"]
        )

    def test_nothing_served_is_told(self):
        expected = ["-serves nothing: `current` leads to no release", "+serves %s" % self.name]
        os.unlink(self.path("production", "current"))
        self.assertEqual(self.look(self.name), expected)
        os.mkdir(self.path("production", "current"))
        self.assertEqual(self.look(self.name), expected)

    def test_a_copy_is_held_to_the_list_of_its_source(self):
        with open(self.inside("wp-login.php"), "a") as stream:
            stream.write("// by hand")
        os.makedirs(self.path("staging", "releases"))
        name, _ = release.from_release(self.path("staging"), self.inside(), 0)
        release.switch(self.path("staging"), name)
        self.assertEqual(
            [line.partition(" ")[0] for line in self.look(environment="staging")], ["-wp-login.php", "+wp-login.php"]
        )

    def test_a_list_that_is_gone_is_told(self):
        os.unlink(manifest.place(self.path("production"), self.name))
        self.assertEqual(self.look(self.name), ["+releases/%s.sha256, which says what the files were" % self.name])

    def test_a_flood_of_differences_is_cut(self):
        for number in range(300):
            with open(self.inside("new-%03d" % number), "w"):
                pass
        step = {"kind": "code", "options": {"root": self.path("production"), "release": None}}
        arguments = {"steps": [step], "state_dir": self.state, "_ansible_check_mode": True, "_ansible_diff": True}
        result = run_module("converge", arguments)
        self.assertEqual(len(result["changes"]), 100)
        self.assertTrue(result["diff"]["prepared"].endswith("\n and 200 more lines\n"))

    def test_the_list_is_one_that_sha256sum_reads(self):
        path = manifest.place(self.path("production"), self.name)
        self.assertEqual(stat.S_IMODE(os.lstat(path).st_mode), 0o600)
        command = ["sha256sum", "--check", "--quiet", "--strict", path]
        self.assertEqual(subprocess.run(command, cwd=self.inside(), check=False).returncode, 0)
        with open(self.inside("wp-login.php"), "a") as stream:
            stream.write("x")
        self.assertNotEqual(subprocess.run(command, cwd=self.inside(), check=False, capture_output=True).returncode, 0)
