"""Files, directories, links and removals, without validators."""

import os
import stat

from support import NOBODY, Scratch, absent, directory, file, link, run_module, shape


class Items(Scratch):
    def items(self):
        return [
            file(self.path("etc", "conf.d", "a.conf"), "a\n", mode="0640", owner="nobody", group=str(NOBODY.pw_gid)),
            directory(self.path("etc", "conf.d"), mode="0750"),
            directory(self.path("etc"), mode="2775"),
            link(self.path("etc", "current"), "conf.d/a.conf"),
            absent(self.path("old")),
        ]

    def test_everything_is_created_parents_first_and_a_second_run_changes_nothing(self):
        self.write("old", "x")
        first = self.apply(self.items())
        self.assertTrue(first["changed"])
        self.assertEqual([item["state"] for item in first["items"]], ["created"] * 4 + ["removed"])
        self.assertEqual(first["ok"], 0)
        status = os.lstat(self.path("etc", "conf.d", "a.conf"))
        self.assertEqual(
            (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid), (0o640, NOBODY.pw_uid, NOBODY.pw_gid)
        )
        self.assertEqual(stat.S_IMODE(os.lstat(self.path("etc")).st_mode), 0o2775)
        self.assertEqual(os.readlink(self.path("etc", "current")), "conf.d/a.conf")
        self.assertFalse(os.path.exists(self.path("old")))
        self.assert_no_leftovers()

        before = shape(self.work)
        second = self.apply(self.items())
        self.assertFalse(second["changed"])
        self.assertEqual((second["items"], second["ok"]), ([], 5))
        self.assertEqual(shape(self.work), before)

    def test_each_kind_of_difference_is_named(self):
        self.apply(self.items())
        self.write("etc/conf.d/a.conf", "b\n", 0o600)
        os.chmod(self.path("etc"), 0o700)
        os.unlink(self.path("etc", "current"))
        os.symlink("elsewhere", self.path("etc", "current"))
        result = self.apply(self.items())
        what = {os.path.basename(item["path"]): item["what"] for item in result["items"]}
        self.assertEqual(
            what, {"a.conf": ["content", "owner", "group", "mode"], "etc": ["mode"], "current": ["target"]}
        )
        self.assertFalse(self.apply(self.items())["changed"])

    def test_content_arrives_byte_for_byte(self):
        contents = {
            "empty": "",
            "no-newline": "no newline at the end",
            "unicode": "Grüße, 日本語, 🚀, e\u0301\n",
            "controls": "a\x00b\x1b[31m\r\n\x7f\u2028\n",
            "big": "0123456789abcde\n" * 65536,
        }
        items = [file(self.path(name), content) for name, content in contents.items()]
        self.apply(items)
        for name, content in contents.items():
            with open(self.path(name), "rb") as stream:
                self.assertEqual(stream.read(), content.encode("utf-8"), name)
        self.assertFalse(self.apply(items)["changed"])

    def test_a_name_with_unusual_characters_is_used_as_it_is(self):
        names = ["a b", "ü", "$(touch x)", "`id`", "new\nline", "-rf", "x" * 255]
        items = [file(self.path(name), name) for name in names]
        self.apply(items)
        self.assertEqual(sorted(os.listdir(self.work)), sorted(names))

    def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(self):
        victim = self.write("victim", "precious")
        os.symlink(victim, self.path("file"))
        result = self.apply([file(self.path("file"), "new")])
        self.assertEqual(result["items"][0]["what"], ["kind", "content"])
        self.assertFalse(os.path.islink(self.path("file")))
        self.assertEqual((self.read("file"), self.read("victim")), ("new", "precious"))

    def test_a_hard_link_is_replaced_and_the_other_name_keeps_its_file(self):
        victim = self.write("victim", "precious", 0o600)
        os.link(victim, self.path("file"))
        self.apply([file(self.path("file"), "precious", mode="0666")])
        self.assertEqual(stat.S_IMODE(os.lstat(victim).st_mode), 0o600)

    def test_a_file_in_the_place_of_a_link_is_replaced(self):
        self.write("link", "x")
        self.apply([link(self.path("link"), "/nowhere")])
        self.assertEqual(os.readlink(self.path("link")), "/nowhere")

    def test_a_directory_with_content_is_only_removed_when_asked(self):
        os.makedirs(self.path("dir", "sub"))
        self.write("dir/sub/file", "x")
        os.symlink("/etc", self.path("dir", "sub", "link"))
        result = self.refuse([absent(self.path("dir"))])
        self.assertIn("is not empty", result["msg"])
        self.apply([absent(self.path("dir"), recursive=True)])
        self.assertEqual(os.listdir(self.work), [])
        self.assertTrue(os.path.isdir("/etc"))

    def test_a_directory_goes_with_everything_that_is_listed_in_it(self):
        os.mkdir(self.path("dir"))
        self.write("dir/a", "x")
        self.write("dir/b", "x")
        items = [absent(self.path("dir")), absent(self.path("dir", "a")), absent(self.path("dir", "b"))]
        self.apply(items)
        self.assertEqual(os.listdir(self.work), [])
        self.assertFalse(self.apply(items)["changed"])

    def test_what_was_never_there_need_not_be_removed(self):
        self.assertFalse(self.apply([absent(self.path("no", "such", "place"))])["changed"])

    def test_a_directory_is_never_changed_below_itself(self):
        os.mkdir(self.path("dir"))
        self.write("dir/file", "x", 0o600, NOBODY.pw_uid)
        self.apply([directory(self.path("dir"), mode="0711", owner="nobody")])
        status = os.lstat(self.path("dir", "file"))
        self.assertEqual((stat.S_IMODE(status.st_mode), status.st_uid), (0o600, NOBODY.pw_uid))

    def test_the_state_directory_is_private(self):
        self.apply([file(self.path("a"), "x")])
        self.assertEqual(stat.S_IMODE(os.lstat(self.state).st_mode), 0o700)


class Refusals(Scratch):
    def test_a_missing_parent_is_an_error_before_anything_changes(self):
        before = shape(self.work)
        result = self.refuse([file(self.path("a"), "x"), file(self.path("no", "b"), "x")])
        self.assertIn(self.path("no"), result["msg"])
        self.assertEqual(shape(self.work), before)

    def test_unknown_owners_are_all_named_before_anything_changes(self):
        before = shape(self.work)
        items = [file(self.path("a"), "x", owner="no-such-user"), file(self.path("b"), "x", group="no-such-group")]
        result = self.refuse(items)
        self.assertIn("unknown owner `no-such-user`", result["msg"])
        self.assertIn("unknown group `no-such-group`", result["msg"])
        self.assertEqual(shape(self.work), before)

    def test_all_problems_of_a_document_are_reported_at_once(self):
        items = [
            file("relative", "x"),
            file(self.path("..", "up"), "x"),
            file(self.path("a"), "x", mode="9999"),
            file(self.path("b"), "x", mode=420),
            dict(file(self.path("c"), "x"), colour="red"),
            {"path": self.path("d"), "kind": "socket"},
            {"path": self.path("e"), "kind": "file"},
            {"path": self.path("f"), "kind": "link"},
            file(self.path("g"), "x", handlers=["nothing"]),
            file(self.path("h"), "x"),
            absent(self.path("h")),
            link(self.path("i"), "work"),
            file(self.path("i", "j"), "x"),
            file(self.path("k\0"), "x"),
        ]
        result = self.refuse(items)
        self.assertEqual(len(result["problems"]), 13, result["problems"])

    def test_a_directory_in_the_place_of_a_file_is_an_error(self):
        os.mkdir(self.path("a"))
        os.mkfifo(self.path("b"))
        self.assertIn("is a directory", self.refuse([file(self.path("a"), "x")])["msg"])
        self.assertIn("is a special", self.refuse([file(self.path("b"), "x")])["msg"])
        self.assertIn("should be a directory", self.refuse([directory(self.path("b"))])["msg"])

    def test_an_unknown_version_is_refused(self):
        result = run_module("tree", {"tree": {"version": 2}, "state_dir": self.state})
        self.assertIn("version `2`", result["msg"])
