"""The events callback, in real runs of ansible-playbook."""

import json
import os

from support import Scratch, file

SECRET = "s3cret-value-nobody-may-see"


def by_name(events):
    return {event["task"]: event for event in events if event["event"] == "task"}


def shell(script, name, **more):
    return dict({"name": name, "ansible.builtin.raw": script}, **more)


class Events(Scratch):
    def test_one_event_for_each_outcome_of_a_task(self):
        src = self.tree_file([file(self.path("a"), "x\n", handlers=["h"])], None, [("h", ["true"])])
        fail = "echo oops >&2; exit 7"
        tasks = [
            shell("true", "Ok", changed_when=False),
            shell("true", "Changed"),
            shell("true", "Skipped", when="false"),
            shell(fail, "Ignored", ignore_errors=True),
            shell(fail, "Null", ignore_errors=None, failed_when=False),
            self.tree_task(src),
            {"name": "Facts", "pressluft.host.facts": {}},
            {"name": "Copy", "ansible.builtin.copy": {"content": "new\n", "dest": self.path("b"), "mode": "0644"}},
            shell(fail, "Failed"),
        ]
        events = self.events(tasks, "--diff", check_code=2)
        self.assertEqual(events[0]["event"], "play_start")
        self.assertEqual(
            list(dict.fromkeys(event["task"] for event in events if event["event"] == "task_start")),
            [task["name"] for task in tasks],
        )
        tasks = by_name(events)
        statuses = {name: event["status"] for name, event in tasks.items()}
        self.assertEqual(
            statuses,
            {
                "Ok": "ok",
                "Changed": "changed",
                "Skipped": "skipped",
                "Ignored": "ignored",
                "Null": "changed",
                "Tree": "changed",
                "Facts": "ok",
                "Copy": "changed",
                "Failed": "failed",
            },
        )
        self.assertEqual((tasks["Failed"]["rc"], tasks["Failed"]["stderr"]), (7, "oops\n"))
        self.assertEqual((tasks["Failed"]["msg"], tasks["Failed"]["host"]), ("non-zero return code", "node"))
        self.assertEqual(tasks["Failed"]["action"], "ansible.builtin.raw")
        self.assertEqual(tasks["Ignored"]["stderr"], "oops\n")
        self.assertGreater(tasks["Ok"]["seconds"], 0)
        self.assertEqual(tasks["Tree"]["action"], "pressluft.host.tree")
        self.assertEqual(tasks["Tree"]["result"]["items"][0]["state"], "created")
        self.assertEqual(tasks["Tree"]["result"]["handlers"][0]["name"], "h")
        self.assertEqual(tasks["Tree"]["diff"][0]["after"], "x\n")
        self.assertEqual(tasks["Copy"]["diff"][0]["after"], "new\n")
        self.assertTrue(tasks["Facts"]["result"]["facts"]["memory_bytes"] > 0)
        stats = events[-1]
        self.assertEqual(stats["event"], "stats")
        self.assertEqual(
            stats["hosts"]["node"],
            {"ok": 7, "changed": 5, "failures": 1, "skipped": 1, "ignored": 1, "rescued": 0, "unreachable": 0},
        )
        for line in self.lines:
            self.assertNotIn(b"module_args", line)

    def test_a_loop_is_one_event_with_the_messages_of_the_failed_items(self):
        script = "echo err{{ item }} >&2; exit {{ item }}"
        tasks = [shell(script, "Loop", loop=[0, 3, 0])]
        event = by_name(self.events(tasks, check_code=2))["Loop"]
        self.assertEqual(event["loop"], {"items": 3, "failed": 1})
        self.assertEqual((event["status"], event["rc"], event["stderr"]), ("failed", 3, "err3\n"))
        self.assertIn("non-zero return code", event["msg"])

    def test_no_log_shows_only_the_status(self):
        fail = "echo %s >&2; echo %s; exit 1" % (SECRET, SECRET)
        tasks = [
            shell("echo %s" % SECRET, "One", no_log=True),
            shell(fail, "Two", no_log=True, ignore_errors=True),
            shell(fail, "Three", no_log=True, loop=[1, 2], ignore_errors=True),
            {
                "name": "Four",
                "ansible.builtin.copy": {"content": SECRET, "dest": self.path("x"), "mode": "0600"},
                "no_log": True,
                "diff": True,
            },
        ]
        events = by_name(self.events(tasks, "--diff"))
        self.assertNotIn(SECRET.encode(), b"".join(self.lines))
        self.assertEqual(
            {name: event["status"] for name, event in events.items()},
            {"One": "changed", "Two": "ignored", "Three": "ignored", "Four": "changed"},
        )
        for event in events.values():
            self.assertEqual(event["msg"], "the output has been hidden")
            self.assertFalse({"rc", "stderr", "stdout", "diff", "result"} & set(event))

    def test_sensitive_items_of_a_tree_show_up_nowhere(self):
        items = [file(self.path("a"), SECRET, sensitive=True, validators=["v"])]
        src = self.tree_file(items, {"v": ["sh", "-c", "cat %s; exit 1" % self.path("a")]})
        task = self.tree_task(src)
        events = self.events([task], "--diff", check_code=2, environment={"ANSIBLE_VERBOSITY": "3"})
        self.assertNotIn(SECRET.encode(), b"".join(self.lines))
        self.assertEqual(by_name(events)["Tree"]["status"], "failed")
        process = self.playbook([task], "-vvv", "--diff", check_code=2)
        self.assertNotIn(SECRET, process.stdout + process.stderr)

    def test_an_unreachable_host_and_a_role_are_reported(self):
        tasks = [{"name": "Ping", "ansible.builtin.ping": {}, "vars": {"ansible_connection": "ssh"}}]
        options = ("-e", "ansible_host=127.0.0.1", "-e", "ansible_port=1")
        events = self.events(tasks, *options, check_code=4)
        ping = by_name(events)["Ping"]
        self.assertEqual(ping["status"], "unreachable")
        self.assertIn("Connection refused", ping["msg"])
        self.assertEqual(events[-1]["hosts"]["node"]["unreachable"], 1)

    def test_lines_are_bounded_and_valid_whatever_is_in_them(self):
        nasty = "\x1b[31m\x7f\x9b2J\u2028\ud7ff\U0010ffff\n" * 20000
        items = [file(self.path("f%d" % number), nasty[:60000] + str(number)) for number in range(20)]
        src = self.tree_file(items)
        tasks = [self.tree_task(src)]
        tasks += [shell("printf '\\377\\033[0m'; printf '\\001%.0s' $(seq 9000); exit 1", "Bytes")]
        events = self.events(tasks, "--diff", check_code=2)
        for line in self.lines:
            self.assertLessEqual(len(line), 64 * 1024)
            for code in (b"\x1b", b"\x7f", b"\xc2\x9b", b"\xe2\x80\xa8"):
                self.assertNotIn(code, line)
        tree = by_name(events)["Tree"]
        self.assertIn("more diffs cut", tree["diff"][-1]["after"])
        self.assertIn("bytes cut", tree["diff"][0]["after"])
        self.assertEqual(len(tree["result"]["items"]), 20)

    def test_a_warning_is_an_event(self):
        items = [file(self.path("a"), "x", owner="no-such-user")]
        task = self.tree_task(self.tree_file(items))
        events = self.events([task], "--check")
        warnings = [event for event in events if event["event"] == "warning"]
        self.assertEqual(len(warnings), 1)
        self.assertIn("no-such-user", warnings[0]["msg"])


class Descriptor(Scratch):
    TASKS = [shell("true", "True")]

    def test_a_reader_that_goes_away_does_not_stop_the_play(self):
        reading, writing = os.pipe()
        os.close(reading)
        process = self.playbook(self.TASKS, environment={"PRESSLUFT_EVENTS_FD": str(writing)}, pass_fds=(writing,))
        os.close(writing)
        self.assertNotIn("WARNING", process.stderr)

    def test_a_number_that_nobody_opened_is_passed_over(self):
        for number in ("1234", "nonsense"):
            process = self.playbook(self.TASKS, environment={"PRESSLUFT_EVENTS_FD": number})
            self.assertNotIn("WARNING", process.stderr)

    def test_three_is_used_when_it_was_inherited(self):
        path = os.path.join(self.root, "three")
        saved = os.dup(3) if is_open(3) else None
        target = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(target, 3)
        try:
            self.playbook(self.TASKS, environment={"PRESSLUFT_EVENTS_FD": ""}, pass_fds=(3,))
        finally:
            for fd in {target, 3}:
                os.close(fd)
            if saved is not None:
                os.dup2(saved, 3)
                os.close(saved)
        with open(path, encoding="utf-8") as stream:
            events = [json.loads(line)["event"] for line in stream]
        self.assertEqual(events, ["play_start", "task_start", "task", "stats"])


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
