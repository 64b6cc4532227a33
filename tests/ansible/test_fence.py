"""The node's fence: who may change a node, and when."""

import fcntl
import json
import os
import subprocess
import time
import unittest

import yaml
from support import COLLECTIONS, KILL, Scratch, fence, file, finished, run_module, shape, start_module, tree

READ_ONLY = {"pressluft.host.facts", "pressluft.host.health"}
# They run on the control plane.
LOCAL = {"ansible.builtin." + name for name in ("assert", "fail", "import_role", "import_tasks", "include_role")}
KEYWORDS = {"name", "when", "register", "vars", "tags", "no_log"}


class Fenced(Scratch):
    def arguments(self, name, command=None, **more):
        """A run that writes a file and then runs a command, which no later run repeats."""
        items = [file(self.path(name), "x", validators=["v"] if command else [])]
        return dict({"tree": tree(items, {"v": command} if command else None), "state_dir": self.state}, **more)

    def run_as(self, name, token, job="job-1", plane="plane-1", **more):
        return run_module("tree", self.arguments(name, fence=fence(token, job, plane), **more))

    def start_blocked(self, end="", **more):
        """A run in the middle of its work; it goes on when somebody reads from the pipe that comes back."""
        pipe = os.path.join(self.root, "pipe")
        os.mkfifo(pipe)
        begun = os.path.join(self.root, "begun")
        command = ["sh", "-c", "touch %s; echo >%s; %s" % (begun, pipe, end or ":")]
        process = start_module("tree", self.arguments("holder", command, **more))
        self.await_that(lambda: os.path.exists(begun))
        return process, pipe

    def await_that(self, condition):
        deadline = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), deadline, "it did not come to pass")
            time.sleep(0.01)

    def record(self):
        with open(os.path.join(self.state, "fence"), encoding="utf-8") as stream:
            return json.load(stream)

    def assert_fenced(self, result, word):
        self.assertEqual(result["code"], "NODE_FENCED", result.text)
        self.assertIn(word, result["msg"])

    def is_locked(self):
        with open(os.path.join(self.state, "fence.lock"), encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False


class Tokens(Fenced):
    def test_an_older_token_is_refused_and_changes_nothing(self):
        self.assertTrue(self.run_as("a", 7, "job-7")["changed"])
        before = shape(self.work)
        result = self.run_as("b", 6, "job-6")
        self.assert_fenced(result, "its token is 6, and job job-7 of ")
        self.assertIn("has come with 7 since", result["msg"])
        self.assertEqual(shape(self.work), before)
        self.assertEqual(self.record()["token"], 7)

    def test_the_same_claim_works_again_and_a_newer_one_takes_over(self):
        for name, token, job in (("a", 7, "job-7"), ("b", 7, "job-7"), ("c", 8, "job-7"), ("d", 9, "job-9")):
            self.assertTrue(self.run_as(name, token, job)["changed"])
        self.assertEqual({key: self.record()[key] for key in ("token", "job")}, {"token": 9, "job": "job-9"})
        self.assert_fenced(self.run_as("e", 8, "job-7"), "since")

    def test_a_token_of_two_jobs_gives_away_a_copy_of_the_control_plane(self):
        self.run_as("a", 7, "job-7")
        self.assert_fenced(self.run_as("b", 7, "job-8"), "two copies of one control plane")

    def test_another_control_plane_is_named_until_its_record_is_removed(self):
        self.run_as("a", 7, plane="plane-1")
        for token in (6, 7, 8):
            self.assert_fenced(self.run_as("b", token, plane="plane-2"), "`plane-1`, job job-1")
        os.unlink(os.path.join(self.state, "fence"))
        self.assertTrue(self.run_as("b", 1, plane="plane-2")["changed"])

    def test_without_a_token_nothing_is_changed(self):
        claims = [None, {}, fence(None), fence(True), fence(0), fence("7"), fence(1.5), fence(1, ""), fence(1, "job-1", 3)]
        for claim in claims:
            result = run_module("tree", self.arguments("a", fence=claim))
            self.assert_fenced(result, "token")
        self.assertEqual(os.listdir(self.work), [])
        self.assertFalse(os.path.exists(self.state))

    def test_a_damaged_record_lets_nobody_in(self):
        self.run_as("a", 7)
        for text in ("", "{", "[]", "null", '{"version": 1}', '{"version": 1, "token": "8"}', '{"version": 2, "token": 8}'):
            with open(os.path.join(self.state, "fence"), "w", encoding="utf-8") as stream:
                stream.write(text)
            self.assert_fenced(self.run_as("b", 9), "is damaged")
        self.assertEqual(os.listdir(self.work), ["a"])

    def test_a_record_that_cannot_be_written_is_named_with_the_reason(self):
        # Like a full disk, which takes a mount.
        os.makedirs(os.path.join(self.state, "fence.new"))
        result = self.run_as("a", 7)
        self.assertTrue(result["failed"])
        self.assertIn("fence.new`: Is a directory", result["msg"])
        self.assertEqual(os.listdir(self.work), [])

    def test_check_mode_compares_and_writes_nothing(self):
        result = self.run_as("a", 7, _ansible_check_mode=True)
        self.assertTrue(result["changed"])
        self.assertFalse(os.path.exists(self.state))
        self.run_as("a", 7)
        before = shape(self.root)
        self.assertTrue(self.run_as("b", 8, "job-8", _ansible_check_mode=True)["changed"])
        self.assert_fenced(self.run_as("b", 6, "job-6", _ansible_check_mode=True), "since")
        self.assertEqual(shape(self.root), before)

    def test_only_root_can_reach_the_record(self):
        os.mkdir(self.state, 0o777)
        self.run_as("a", 7)
        self.assertEqual(os.stat(self.state).st_mode & 0o777, 0o700)
        for name in ("fence", "fence.lock"):
            self.assertEqual(os.stat(os.path.join(self.state, name)).st_mode & 0o777, 0o600)


class Lock(Fenced):
    def test_the_next_run_waits_and_goes_on(self):
        holder, pipe = self.start_blocked(fence=fence(7, "job-7"))
        waiting = start_module("tree", self.arguments("next", fence=fence(8, "job-8")))
        time.sleep(0.3)
        self.assertFalse(os.path.exists(self.path("next")))
        with open(pipe, encoding="utf-8") as stream:
            stream.read()
        for process in (holder, waiting):
            self.assertTrue(finished(process, process.communicate()[0])["changed"])
        self.assertEqual(self.record()["token"], 8)

    def test_who_waits_too_long_learns_for_whom(self):
        holder, pipe = self.start_blocked(fence=fence(7, "job-7"))
        result = self.run_as("next", 8, lock_timeout=0)
        self.assertIn("Timed out after 0 s of waiting for the node's lock: job job-7 of `plane-1`", result["msg"])
        self.assertIn("(pid %d)" % holder.pid, result["msg"])
        self.assertIn("`sh -c touch", result["msg"])
        with open(pipe, encoding="utf-8") as stream:
            stream.read()
        holder.communicate()

    def test_what_a_killed_run_has_started_holds_the_lock_until_it_ends(self):
        holder, pipe = self.start_blocked("touch %s" % self.path("late"), fence=fence(7, "job-7"))
        holder.kill()
        holder.communicate()
        self.assertTrue(self.is_locked())
        result = self.run_as("next", 8, lock_timeout=0)
        self.assertIn("what runs: ", result["msg"])
        waiting = start_module("tree", self.arguments("next", fence=fence(8, "job-8")))
        with open(pipe, encoding="utf-8") as stream:
            stream.read()
        self.assertTrue(finished(waiting, waiting.communicate()[0])["changed"])
        # What the killed run had not validated is taken back.
        self.assertEqual(sorted(os.listdir(self.work)), ["late", "next"])

    def test_a_claim_that_was_replaced_while_it_waited_is_refused(self):
        holder, pipe = self.start_blocked(fence=fence(9, "job-9"))
        late = start_module("tree", self.arguments("late", fence=fence(8, "job-8")))
        with open(pipe, encoding="utf-8") as stream:
            stream.read()
        holder.communicate()
        self.assert_fenced(finished(late, late.communicate()[0]), "since")
        self.assertFalse(os.path.exists(self.path("late")))

    def test_nobody_begins_for_a_connection_that_is_gone(self):
        holder, pipe = self.start_blocked(fence=fence(7, "job-7"))
        waiting = start_module("tree", self.arguments("next", fence=fence(8, "job-8")))
        waiting.stdout.close()
        self.assertNotEqual(waiting.wait(20), 0)
        with open(pipe, encoding="utf-8") as stream:
            stream.read()
        holder.communicate()
        self.assertEqual(os.listdir(self.work), ["holder"])

    def test_programs_do_not_get_the_lock_and_what_they_leave_running_does_not_hold_it(self):
        seen = os.path.join(self.root, "seen")
        script = "ls -l /proc/self/fd >%s; sleep 60 >/dev/null 2>&1 </dev/null & echo $! >>%s" % (seen, seen)
        result = run_module("tree", self.arguments("a", ["sh", "-c", script]))
        self.assertTrue(result["changed"], result.text)
        with open(seen, encoding="utf-8") as stream:
            text = stream.read()
        self.assertNotIn("fence.lock", text)
        self.assertFalse(self.is_locked())
        os.kill(int(text.split()[-1]), 9)

    def test_a_run_that_dies_leaves_the_lock(self):
        self.assertEqual(run_module("tree", self.arguments("a", KILL, fence=fence(7))).code, -9)
        self.assertTrue(self.run_as("b", 8, "job-8", lock_timeout=10)["changed"])


class Forgotten(unittest.TestCase):
    """Nothing of ours may change a node beside the fence."""

    def tasks(self):
        root = os.path.dirname(COLLECTIONS)
        files = subprocess.run(
            ["find", root + "/playbooks", root + "/roles", "-path", "*/meta/*", "-prune", "-o", "-name", "*.yml", "-print"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        self.assertGreater(len(files), 8)
        for path in files:
            with open(path, encoding="utf-8") as stream:
                content = yaml.safe_load(stream)
            for entry in content if isinstance(content, list) else []:
                lists = [entry.get(key, []) for key in ("tasks", "pre_tasks", "post_tasks", "handlers")]
                for task in sum(lists, []) if "hosts" in entry else [entry]:
                    yield path, task

    def test_every_task_is_behind_the_fence_or_changes_nothing(self):
        known = READ_ONLY | LOCAL | KEYWORDS | {"pressluft.host.converge"}
        seen = set()
        for path, task in self.tasks():
            self.assertEqual(set(task) - known, set(), "%s: `%s`" % (path, task.get("name")))
            seen |= set(task)
        self.assertIn("pressluft.host.converge", seen)

    def test_only_one_module_changes_anything(self):
        modules = os.path.join(COLLECTIONS, "ansible_collections/pressluft/host/plugins/modules")
        names = {"pressluft.host." + name[:-3] for name in os.listdir(modules) if name.endswith(".py")}
        self.assertEqual(names, READ_ONLY | {"pressluft.host.converge"})
