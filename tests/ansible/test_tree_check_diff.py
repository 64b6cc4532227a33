"""Check mode predicts and changes nothing; diff mode shows what may be shown."""

import os

from support import Scratch, absent, digest, directory, file, link

SECRET = "s3cret-value-nobody-may-see"


class CheckMode(Scratch):
    def test_it_predicts_exactly_what_a_run_does_and_changes_nothing(self):
        self.old_state()
        items = self.new_state(validators=["v"], handlers=["h"])
        marker = os.path.join(self.root, "ran")
        more = ({"v": ["touch", marker]}, [("h", ["touch", marker])])
        before = digest(self.root)
        predicted = self.apply(items, *more, check=True, diff=True)
        self.assertEqual(digest(self.root), before)
        self.assertEqual(predicted["validators"], [{"name": "v", "predicted": True}])
        self.assertEqual(predicted["handlers"], [{"name": "h", "predicted": True}])
        done = self.apply(items, *more, diff=True)
        for key in ("items", "ok", "diff", "changed"):
            self.assertEqual(predicted[key], done[key], key)
        self.assertFalse(self.apply(items, *more, check=True)["changed"])

    def test_a_validator_with_a_file_runs_in_check_mode_too(self):
        items = [file(self.path("a"), "bad", validators=["v"])]
        before = digest(self.root)
        result = self.refuse(items, {"v": ["grep", "-q", "good", "%s"]}, check=True)
        self.assertEqual(result["validator"], "v")
        self.assertEqual(digest(self.root), before)

    def test_what_an_earlier_task_would_have_made_is_only_a_warning(self):
        items = [file(self.path("no", "dir", "a"), "x", owner="no-such-user", validators=["v"])]
        result = self.apply(items, {"v": ["no-such-program", "%s"]}, check=True, diff=True)
        self.assertEqual([item["state"] for item in result["items"]], ["created"])
        warnings = str(result["warnings"])
        for part in ("no-such-user", "no-such-program", self.path("no")):
            self.assertIn(part, warnings)


class Diff(Scratch):
    def diff(self, items, **more):
        result = self.apply(items, diff=True, **more)
        return {os.path.basename(entry["before_header"].split(" (")[0]): entry for entry in result["diff"]}, result

    def test_content_and_attributes(self):
        self.write("both", "old\n", 0o600)
        self.write("content", "old\n")
        self.write("mode", "same\n", 0o600)
        os.symlink("old", self.path("link"))
        self.write("gone", "was here\n")
        items = [
            file(self.path("both"), "new\n"),
            file(self.path("content"), "new\n"),
            file(self.path("mode"), "same\n"),
            link(self.path("link"), "new"),
            directory(self.path("dir")),
            absent(self.path("gone")),
        ]
        diff, _result = self.diff(items)
        self.assertEqual((diff["both"]["before"], diff["both"]["after"]), ("old\n", "new\n"))
        self.assertTrue(diff["both"]["before_header"].endswith("both (root:root 0600)"))
        self.assertTrue(diff["both"]["after_header"].endswith("both (root:root 0644)"))
        self.assertEqual(diff["content"]["before_header"], self.path("content"))
        self.assertEqual((diff["mode"]["before"], diff["mode"]["after"]), ("mode 0600\n", "mode 0644\n"))
        self.assertEqual((diff["link"]["before"], diff["link"]["after"]), ("link to old\n", "link to new\n"))
        self.assertEqual((diff["dir"]["before"], diff["dir"]["after"]), ("", "directory\n"))
        self.assertEqual((diff["gone"]["before"], diff["gone"]["after"]), ("was here\n", ""))

    def test_sensitive_content_is_in_no_part_of_the_result(self):
        self.write("changed", "old " + SECRET)
        self.write("gone", "old " + SECRET)
        items = [
            file(self.path("changed"), SECRET, sensitive=True),
            file(self.path("created"), SECRET, sensitive=True),
            absent(self.path("gone"), sensitive=True),
        ]
        diff, result = self.diff(items)
        self.assertNotIn(SECRET, result.text)
        self.assertEqual((diff["changed"]["before"], diff["changed"]["after"]), ("(sensitive)\n", "(sensitive)\n"))
        self.assertEqual((diff["created"]["before"], diff["created"]["after"]), ("", "(sensitive)\n"))

    def test_binary_and_large_contents_are_summarised(self):
        with open(self.path("binary"), "wb") as stream:
            stream.write(b"\xff\xfe\x00")
        with open(self.path("large"), "wb") as stream:
            stream.write(b"x" * 200000)
        diff, result = self.diff([file(self.path("binary"), "a\0b"), file(self.path("large"), "y" * 110000)])
        self.assertRegex(diff["binary"]["before"], r"^\(binary, 3 bytes, sha256 [0-9a-f]{64}\)\n$")
        self.assertRegex(diff["binary"]["after"], r"^\(binary, 3 bytes, sha256 [0-9a-f]{64}\)\n$")
        self.assertRegex(diff["large"]["before"], r"^\(text, 200000 bytes, sha256 [0-9a-f]{64}\)\n$")
        self.assertRegex(diff["large"]["after"], r"^\(text, 110000 bytes, sha256 [0-9a-f]{64}\)\n$")
        self.assertLess(len(result.text), 4000)

    def test_nothing_to_show_when_nothing_changed(self):
        items = [file(self.path("a"), "x")]
        self.apply(items)
        self.assertEqual(self.diff(items)[1]["diff"], [])
