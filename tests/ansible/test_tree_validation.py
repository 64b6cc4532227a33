"""Validators, and the way back when one of them fails."""

import json
import os

from support import KILL, Scratch, file, run_module, shape, tree


class Validation(Scratch):
    def setUp(self):
        super().setUp()
        self.log = os.path.join(self.root, "log")

    def say(self, word, code=0):
        return ["sh", "-c", 'echo %s "$@" >> %s; exit %d' % (word, self.log, code), "sh"]

    def logged(self):
        try:
            with open(self.log, encoding="utf-8") as stream:
                return stream.read().splitlines()
        except FileNotFoundError:
            return []

    def test_validators_run_once_after_everything_is_placed_and_before_handlers(self):
        self.old_state()
        result = self.apply(
            self.new_state(validators=["check", "check2"], handlers=["reload"]),
            {
                "check": self.say("check"),
                "check2": ["test", "-f", self.path("dir", "dir", "file")],
                "idle": self.say("idle"),
            },
            [("reload", self.say("reload"))],
        )
        self.assertEqual(self.logged(), ["check", "reload"])
        self.assertEqual(
            [(entry["name"], entry["rc"]) for entry in result["validators"]], [("check", 0), ("check2", 0)]
        )
        self.assert_no_leftovers()

    def test_a_failing_validator_brings_everything_back(self):
        self.old_state()
        before = shape(self.work)
        command = [
            "sh",
            "-c",
            "test -f %s && test ! -e %s || exit 99; echo no good >&2; exit 3"
            % (self.path("created"), self.path("tree")),
        ]
        result = self.refuse(
            self.new_state(validators=["check"], handlers=["reload"]),
            {"check": command},
            [("reload", self.say("reload"))],
        )
        self.assertEqual(shape(self.work), before)
        self.assertEqual(self.logged(), [])
        self.assertEqual(self.pending(), [])
        self.assertFalse(result["changed"])
        self.assertEqual({item["state"] for item in result["items"]}, {"restored"})
        self.assertEqual((result["rc"], result["validator"], result["argv"]), (3, "check", command))
        for part in ("`check`", "sh -c", "rc 3", "no good", self.path("created")):
            self.assertIn(part, result["msg"])

    def test_only_the_last_4_kib_of_the_output_are_shown(self):
        command = ["sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo END; exit 1"]
        result = self.refuse([file(self.path("a"), "x", validators=["v"])], {"v": command})
        self.assertEqual(len(result["stderr"]), 4096)
        self.assertTrue(result["stderr"].endswith("END\n"))

    def test_an_unchanged_item_does_not_call_its_validator(self):
        self.write("a", "same")
        items = [file(self.path("a"), "same", validators=["v"]), file(self.path("b"), "new")]
        self.apply(items, {"v": self.say("v", 1)})
        self.assertEqual(self.logged(), [])

    def test_a_validator_with_a_file_sees_the_candidate_before_it_counts(self):
        self.write("a.conf", "old")
        script = 'cp "$1" %s; echo "$1" > %s; cat %s >> %s' % (
            os.path.join(self.root, "seen"),
            self.log,
            self.path("a.conf"),
            self.log,
        )
        items = [file(self.path("a.conf"), "new", validators=["v"])]
        self.apply(items, {"v": ["sh", "-c", script, "sh", "%s"]})
        with open(os.path.join(self.root, "seen"), encoding="utf-8") as stream:
            self.assertEqual(stream.read(), "new")
        candidate, current = self.logged()
        self.assertEqual((os.path.basename(candidate), current), ("a.conf", "old"))
        self.assertFalse(os.path.exists(candidate))
        self.assertEqual(self.read("a.conf"), "new")

    def test_a_refused_candidate_leaves_everything_untouched(self):
        self.old_state()
        before = shape(self.work)
        items = self.new_state() + [file(self.path("bad"), "bad", validators=["v"], handlers=["reload"])]
        result = self.refuse(items, {"v": ["grep", "-q", "good", "%s"]}, [("reload", self.say("reload"))])
        self.assertEqual(shape(self.work), before)
        self.assertIn("nothing was changed", result["msg"])
        self.assertIn(self.path("bad"), result["msg"])
        self.assertEqual((self.logged(), self.pending(), result["items"]), ([], [], []))

    def test_a_missing_validator_is_a_failure(self):
        result = self.refuse([file(self.path("a"), "x", validators=["v"])], {"v": ["/no/such/program"]})
        self.assertIn("cannot be run", result["msg"])
        self.assertFalse(os.path.exists(self.path("a")))

    def test_a_failure_while_placing_brings_everything_back(self):
        self.old_state()
        before = shape(self.work)
        # A directory that cannot be written to: an immutable one is not
        # possible everywhere, procfs is.
        items = self.new_state() + [file("/proc/self/file", "x")]
        result = self.refuse(items)
        self.assertIn("cannot be placed", result["msg"])
        self.assertEqual(shape(self.work), before)

    def test_output_of_a_validator_never_shows_a_sensitive_content(self):
        secret = "define('DB_PASSWORD', 'correct-horse-battery');\n"
        items = [file(self.path("a"), secret, sensitive=True, validators=["v", "w"])]
        word = ["sh", "-c", "grep -o 'correct[a-z-]*' %s; exit 1" % self.path("a")]
        for argv in (["sh", "-c", 'cat "$1"; exit 1', "sh", "%s"], word):
            result = self.refuse(items, {"v": argv, "w": ["true"]}, diff=True)
            self.assertNotIn("correct-horse", result.text)
            self.assertIn("(sensitive)", result["msg"])


class Interrupted(Scratch):
    """A run that died: the process is killed by one of its own validators."""

    def test_what_was_never_validated_is_taken_back_by_the_next_run(self):
        self.old_state()
        before = shape(self.work)
        items = self.new_state(validators=["v"], handlers=["h"])
        arguments = {"tree": tree(items, {"v": KILL}, [("h", ["true"])]), "state_dir": self.state}
        self.assertEqual(run_module("tree", arguments).code, -9)
        self.assertNotEqual(shape(self.work), before)
        self.assertEqual(self.pending(), ["h"])

        # The next tree does not even know these paths.
        result = self.apply([file(self.path("other"), "x")])
        os.unlink(self.path("other"))
        self.assertEqual(shape(self.work), before)
        self.assertEqual([entry["name"] for entry in result["handlers"]], ["h"])
        self.assertEqual(sorted(os.listdir(self.state)), ["fence", "fence.lock"])

    def test_check_mode_after_an_interrupted_run_changes_nothing(self):
        items = [file(self.path("a"), "x", validators=["v"])]
        arguments = {"tree": tree(items, {"v": KILL}), "state_dir": self.state}
        run_module("tree", arguments)
        before = shape(self.root)
        result = self.apply(items, {"v": ["true"]}, check=True)
        self.assertEqual(shape(self.root), before)
        self.assertIn("interrupted", json.dumps(result["warnings"]))
        # Nothing differs once it is taken back, and still there is something to do.
        os.unlink(self.path("a"))
        self.assertTrue(self.apply([], check=True)["changed"])

    def test_a_damaged_journal_is_an_error(self):
        self.apply([file(self.path("a"), "x")])
        with open(os.path.join(self.state, "pending-handlers.json"), "w", encoding="utf-8") as stream:
            stream.write("{")
        self.assertIn("damaged", self.refuse([file(self.path("a"), "y")])["msg"])
