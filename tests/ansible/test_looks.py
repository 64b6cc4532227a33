"""What a look finds of an environment's ways out of its place, and that it comes to its end or is told as unmade."""

import contextlib
import os
import pwd
import subprocess
import unittest
from unittest import mock

from support import NOBODY, Scratch

from ansible_collections.pressluft.host.plugins.module_utils import below, copies, manifest, sudoers
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed
from ansible_collections.pressluft.host.plugins.module_utils.steps import boundaries


class Rules(Scratch):
    def naming(self, text, **files):
        os.makedirs(self.path("d"), exist_ok=True)
        for name, content in files.items():
            self.write("d/" + name, content)
        main = self.write("sudoers", text.replace("DIR", self.path("d")))
        return [rule for _, rule in sudoers.naming({"wp_a", "#999", "%wp_a", "%#997"}, main)]

    def test_a_rule_is_known_however_it_names_the_user(self):
        for rule in (
            "wp_a ALL=(ALL) NOPASSWD: ALL",
            "other, wp_a ALL = ALL",
            "%wp_a ALL=ALL",
            "#999 ALL=ALL",
            "%#997 ALL=ALL",
            '"wp_a" ALL=ALL',
            "ALL ALL=/bin/true",
        ):
            self.assertEqual(self.naming("Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n" + rule), [rule])
        self.assertEqual(len(self.naming("User_Alias A = x : B = wp_a, y\nUser_Alias C = B\nC ALL=ALL\nA ALL=ALL\n")), 1)
        self.assertEqual(self.naming("@includedir DIR\n", x="wp_a ALL=\\\n ALL\n"), ["wp_a ALL=  ALL"])
        self.assertEqual(len(self.naming("#include DIR/x\n", x="wp_a ALL=ALL\n")), 1)

    def test_others_are_no_finding_and_a_circle_ends(self):
        text = "# wp_a ALL=ALL\nroot ALL=(wp_a) ALL\n%sudo ALL=(ALL:ALL) ALL\nDefaults:wp_a x=y\nRunas_Alias R = wp_a\n"
        self.assertEqual(self.naming(text), [])
        with self.assertRaisesRegex(Failed, "include themselves"):
            self.naming(text + "@include sudoers\n")
        self.assertEqual(self.naming("@includedir DIR\n", **{"x.off": "wp_a ALL=ALL\n"}), [])


class Looks(Scratch):
    def test_files_with_set_id_bits_are_told_in_one_line_each(self):
        for name, mode in (("plain", 0o755), ("odd\n\x1b[2J name", 0o4755), ("-group", 0o2755)):
            self.write(name, "", mode)
        os.symlink("/usr/bin/passwd", self.path("link"))
        found = sorted(boundaries.files(self.work))
        names = ("-group", "odd??[2J name")
        self.assertEqual(found, ["`%s` has set-id bits" % self.path(name) for name in names])

    def deep(self, levels, name):
        """A file below so many directories, whose path no call takes."""
        fd = os.open(self.work, os.O_RDONLY)
        for _ in range(levels):
            os.mkdir(name, 0o700, dir_fd=fd)
            above, fd = fd, os.open(name, os.O_RDONLY, dir_fd=fd)
            os.close(above)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=fd))
        os.chmod("file", 0o4755, dir_fd=fd)
        os.close(fd)

    def test_no_name_mode_or_path_hides_a_file(self):
        os.mkdir(self.path("closed"))
        self.write("closed/su", "", 0o4755)
        os.chown(self.path("closed"), NOBODY.pw_uid, NOBODY.pw_gid)
        os.chmod(self.path("closed"), 0)
        self.assertEqual(list(boundaries.files(self.work)), ["`%s` has set-id bits" % self.path("closed/su")])
        self.deep(60, "d" * 250)
        self.assertEqual(len(list(boundaries.files(self.work))), 2)

    def test_what_is_behind_a_link_is_not_looked_at(self):
        os.symlink("/usr", self.path("link"))
        os.mkfifo(self.path("fifo"))
        self.assertEqual(sorted(path for path, _ in below.entries(self.work, 5)), [self.path("fifo"), self.path("link")])
        os.symlink(self.work, os.path.join(self.root, "itself"))
        with self.assertRaisesRegex(Failed, "cannot be looked into"):
            list(below.entries(os.path.join(self.root, "itself"), 5))

    def test_a_walk_that_does_not_come_to_its_end_says_so(self):
        for number in range(20):
            self.write(str(number), "")
        for seconds, most, word in ((5, 19, "more than 19 files"), (0, 20, "within 0 s")):
            with self.assertRaisesRegex(Failed, word):
                list(below.entries(self.work, seconds, most))
        self.assertEqual(len(list(below.entries(self.work, 5, 20))), 20)
        before = os.listdir("/proc/self/fd")
        self.deep(below.DEPTH + 1, "d")
        with self.assertRaisesRegex(Failed, "directories deep"):
            list(below.entries(self.work, 5))
        self.assertEqual(os.listdir("/proc/self/fd"), before)

    def looked(self, **looks):
        """What is told when these are the looks, and all others find nothing."""
        names = ("rules", "entrances", "units", "exposed", "files", "database")
        with contextlib.ExitStack() as stack:
            for name in names:
                look = looks.get(name, lambda *_: [])
                stack.enter_context(mock.patch.object(boundaries, name, look))
            return boundaries.carry_out({"system": "daemon", "root": self.work}, mock.Mock()).get("by_hand", [])

    def test_a_look_that_was_not_made_is_told_before_what_the_others_found(self):
        def files(_):
            yield from (str(number) for number in range(100))
            raise Failed("no end")

        told = self.looked(files=files, database=lambda _: ["the view"], units=mock.Mock(side_effect=OSError(5, "no")))
        unmade = "not everything could be looked at: "
        self.assertEqual(sorted(told[:2]), [unmade + "[Errno 5] no", unmade + "no end"])
        self.assertIn("the view", told)
        self.assertEqual((len(told), told[-1]), (2 + boundaries.SHOWN_OF_ONE + 1 + 1, "and 80 more"))
        self.assertEqual(self.looked(), [])

    def test_what_a_service_does_not_say_is_no_answer(self):
        done = subprocess.CompletedProcess
        user = pwd.getpwnam("daemon")
        block = "Id=%s\nFragmentPath=\nDropInPaths=\n"
        names = [name % user.pw_name for name in boundaries.UNITS]
        whole = "\n".join(block % name for name in names)
        with mock.patch.object(boundaries, "run", return_value=done([], 0, whole, "")):
            self.assertEqual(list(boundaries.units(user)), [])
        cut = "\n".join(block % name for name in names[1:])
        with mock.patch.object(boundaries, "run", return_value=done([], 0, cut, "")):
            with self.assertRaisesRegex(Failed, "did not tell of each unit"):
                list(boundaries.units(user))
        for found, code, expected in (
            ("User a is not allowed to run sudo on h.\n", 1, []),
            ("User a may run the following commands on h:\n    (ALL) ALL\n", 0, ["(ALL) ALL"]),
            ("", 1, None),
        ):
            with mock.patch.object(sudoers, "run", return_value=done([], code, found, "")):
                with mock.patch.object(sudoers.shutil, "which", return_value="/usr/bin/sudo"):
                    if expected is None:
                        self.assertRaisesRegex(Failed, "did not say", sudoers.allowed, "a")
                    else:
                        self.assertEqual(sudoers.allowed("a"), expected)

    def test_what_cannot_be_read_is_no_empty_file(self):
        self.assertEqual(boundaries.text_of(self.path("nothing")), "")
        large = self.write("large", "x" * 100)
        with mock.patch.object(boundaries, "LARGEST", 99), self.assertRaisesRegex(Failed, "is larger than"):
            boundaries.text_of(large)
        with mock.patch.object(boundaries, "MOST_FILES", 0), self.assertRaisesRegex(Failed, "more than 0 files"):
            boundaries.within(self.work)
        for look in (boundaries.text_of, boundaries.listed):
            with self.assertRaises(OSError):
                look(os.path.join(large, "below"))

    def test_a_copy_is_counted_to_its_end(self):
        os.mkdir(self.path("closed"), 0)
        os.chown(self.path("closed"), NOBODY.pw_uid, NOBODY.pw_gid)
        self.write("closed/large", "x" * (1 << 20))
        size, files = copies.count(self.work)
        self.assertGreaterEqual(size, 1 << 20)
        self.assertEqual(files, 3)
        with mock.patch.object(copies, "FILES", 1), self.assertRaisesRegex(Failed, "could not be counted"):
            copies.count(self.work)

    def test_a_look_that_a_site_holds_up_is_a_finding(self):
        told = self.looked(database=mock.Mock(side_effect=Failed("`mariadb`: max_statement_time exceeded")))
        self.assertEqual(len(told), 1)
        self.assertIn("not everything could be looked at: `mariadb`", told[0])


class Modes(Scratch):
    def test_what_others_may_read_of_a_release_is_told(self):
        for name in ("wp-content/plugins/a.php", "wp-load.php"):
            os.makedirs(os.path.dirname(self.path("r", name)), exist_ok=True)
            self.write("r/" + name, "x", 0o640)
        for folder in ("r", "r/wp-content", "r/wp-content/plugins"):
            os.chmod(self.path(folder), 0o750)
        os.symlink("/", self.path("r/wp-content/link"))
        self.assertEqual(manifest.content(self.path("r"), os.getgid()), [])
        os.chmod(self.path("r/wp-content/plugins/a.php"), 0o644)
        os.chmod(self.path("r/wp-content/plugins"), 0o770)
        self.assertEqual(
            manifest.content(self.path("r"), os.getgid()),
            [
                "-wp-content/plugins belongs to user 0 with mode 0770",
                "+wp-content/plugins is written by root alone",
                "-wp-content/plugins/a.php belongs to user 0 with mode 0644",
                "+wp-content/plugins/a.php is read by its environment alone",
            ],
        )


if __name__ == "__main__":
    unittest.main()
