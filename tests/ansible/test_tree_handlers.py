"""Handlers: order, once each, never lost; and two trees at once."""

import json
import os
import time

from support import KILL, Scratch, file, finished, run_module, start_module, tree


class Handlers(Scratch):
    def setUp(self):
        super().setUp()
        self.log = os.path.join(self.root, "log")

    def note(self, name, code=0):
        return (name, ["sh", "-c", "echo %s >> %s; exit %d" % (name, self.log, code)])

    def logged(self):
        try:
            with open(self.log, encoding="utf-8") as stream:
                return stream.read().split()
        except FileNotFoundError:
            return []

    def test_they_run_in_the_order_of_the_list_and_once_each(self):
        items = [
            file(self.path("a"), "x", handlers=["third", "first"]),
            file(self.path("b"), "x", handlers=["first", "third"]),
        ]
        result = self.apply(items, None, [self.note("first"), self.note("second"), self.note("third")])
        self.assertEqual(self.logged(), ["first", "third"])
        self.assertEqual([entry["name"] for entry in result["handlers"]], ["first", "third"])
        self.assertEqual([entry["rc"] for entry in result["handlers"]], [0, 0])
        self.assertEqual(self.pending(), [])

    def test_what_another_does_as_well_does_not_run_beside_it(self):
        restart, reload = (*self.note("restart"), ["reload"]), self.note("reload")
        both = [file(self.path("a"), "x", handlers=["reload", "restart"])]
        result = self.apply(both, None, [restart, reload])
        self.assertEqual(self.logged(), ["restart"])
        self.assertEqual([entry["name"] for entry in result["handlers"]], ["restart"])
        self.assertEqual(self.pending(), [])
        self.apply([file(self.path("a"), "y", handlers=["reload"])], None, [restart, reload])
        self.assertEqual(self.logged(), ["restart", "reload"])

    def test_what_covers_another_stays_pending_in_its_place(self):
        both = [file(self.path("a"), "x", handlers=["reload", "restart"])]
        self.refuse(both, None, [(*self.note("restart", 1), ["reload"]), self.note("reload")])
        self.assertEqual(self.pending(), ["restart"])
        # What was left by itself before is covered as well.
        self.refuse([file(self.path("b"), "x", handlers=["reload"])], None, [self.note("restart", 1), self.note("reload")])
        self.assertEqual(self.pending(), ["restart", "reload"])
        self.apply(both, None, [(*self.note("restart"), ["reload"]), self.note("reload")])
        self.assertEqual(self.logged(), ["restart", "restart", "restart"])
        self.assertEqual(self.pending(), [])

    def test_handlers_cover_those_that_come_after_them_alone(self):
        for covers in (["before"], ["itself"], ["unknown"], "after", [1]):
            handlers = [self.note("before"), (*self.note("itself"), covers), self.note("after")]
            self.assertIn("cover", self.refuse([file(self.path("a"), "x")], None, handlers)["msg"])

    def test_nothing_runs_when_nothing_changed(self):
        items = [file(self.path("a"), "x", handlers=["h"])]
        self.apply(items, None, [self.note("h")])
        self.assertEqual(self.apply(items, None, [self.note("h")])["handlers"], [])
        self.assertEqual(self.logged(), ["h"])

    def test_a_failed_handler_fails_the_task_and_stays_pending(self):
        items = [file(self.path("a"), "x", handlers=["one", "two", "three"])]
        result = self.refuse(items, None, [self.note("one"), self.note("two", 7), self.note("three")])
        self.assertIn("handler `two`", result["msg"])
        self.assertEqual(result["rc"], 7)
        self.assertEqual(self.read("a"), "x")
        self.assertEqual(self.pending(), ["two", "three"])
        again = self.apply(items, None, [self.note("one"), self.note("two"), self.note("three")])
        self.assertTrue(again["changed"])
        self.assertEqual(self.logged(), ["one", "two", "two", "three"])
        self.assertEqual(self.pending(), [])
        self.assertFalse(
            self.apply(items, None, [self.note("one")] + [self.note("two"), self.note("three")])["changed"]
        )

    def test_a_crash_between_placing_and_reloading_does_not_lose_the_reload(self):
        items = [file(self.path("a"), "x", handlers=["crash", "reload"])]
        kill = ("crash", KILL)
        arguments = {"tree": tree(items, None, [kill, self.note("reload")]), "state_dir": self.state}
        self.assertEqual(run_module("tree", arguments).code, -9)
        self.assertEqual((self.read("a"), self.logged()), ("x", []))
        result = self.apply(items, None, [self.note("crash"), self.note("reload")])
        self.assertEqual((result["items"], self.logged()), ([], ["crash", "reload"]))
        self.assertFalse(self.apply(items, None, [self.note("crash"), self.note("reload")])["changed"])
        self.assert_no_leftovers()

    def test_pending_handlers_are_on_disk_before_the_first_item_is_placed(self):
        # The validator runs after placing; it looks at the file as it is then.
        journal = os.path.join(self.state, "pending-handlers.json")
        copy = ["cp", journal, os.path.join(self.root, "copy")]
        self.apply([file(self.path("a"), "x", handlers=["h"], validators=["v"])], {"v": copy}, [self.note("h")])
        with open(os.path.join(self.root, "copy"), encoding="utf-8") as stream:
            self.assertIn('"h"', stream.read())

    def test_what_another_tree_left_is_that_trees_own(self):
        evil, acme = [file(self.path("a"), "x", handlers=["restart-php"])], [file(self.path("b"), "x")]
        self.refuse(evil, None, [self.note("restart-php", 1)], of="evil")
        handler = ("restart-php", ["sh", "-c", "echo acme >> %s" % os.path.join(self.root, "log")])
        self.assertTrue(self.apply(acme, None, [handler], check=True, of="acme")["changed"])
        self.apply(acme, None, [handler], of="acme")
        self.assertFalse(self.apply(acme, None, [handler], check=True, of="acme")["changed"])
        self.assertEqual((self.logged(), self.pending()), (["restart-php"], ["restart-php"]))
        # One that has the same name, and runs, takes nothing of the other's along.
        self.apply([file(self.path("b"), "y", handlers=["restart-php"])], None, [handler], of="acme")
        self.assertEqual((self.logged(), self.pending()), (["restart-php", "acme"], ["restart-php"]))
        self.assertTrue(self.apply(evil, None, [self.note("restart-php")], check=True, of="evil")["changed"])
        self.apply(evil, None, [self.note("restart-php")], of="evil")
        self.assertEqual((self.logged(), self.pending()), (["restart-php", "acme", "restart-php"], []))

    def test_what_a_tree_left_and_does_not_name_any_more_runs_once(self):
        self.refuse([file(self.path("a"), "x", handlers=["left"])], None, [self.note("left", 1)])
        result = self.apply([file(self.path("a"), "x")])
        self.assertEqual((result["changed"], self.logged(), self.pending()), (True, ["left", "left"], []))
        self.assertIn("left", str(result["warnings"]))
        self.assertFalse(self.apply([file(self.path("a"), "x")])["changed"])

    def test_a_journal_that_does_not_say_whose_a_handler_is_loses_none(self):
        os.makedirs(self.state, 0o700)
        name, argv = self.note("reload")
        stranger = {"name": name, "argv": ["false"]}
        stored = {"version": 1, "handlers": [stranger, {"name": name, "argv": argv}], "undo": [], "leftovers": []}
        with open(os.path.join(self.state, "pending-handlers.json"), "w", encoding="utf-8") as stream:
            json.dump(stored, stream)
        items = [file(self.path("a"), "x")]
        self.apply(items, of="node")
        self.assertEqual((self.logged(), self.pending()), ([], ["reload", "reload"]))
        self.assertTrue(self.apply(items, None, [self.note("reload")], check=True, of="acme")["changed"])
        self.apply(items, None, [self.note("reload")], of="acme")
        self.assertEqual((self.logged(), self.pending()), (["reload"], ["reload"]))
        self.assertFalse(self.apply(items, None, [self.note("reload")], check=True, of="acme")["changed"])

    def test_a_run_of_another_tree_that_died_is_no_difference_and_is_taken_back(self):
        self.write("a", "before")
        items = [file(self.path("a"), "x", handlers=["h"], validators=["kill"])]
        arguments = {"tree": tree(items, {"kill": KILL}, [self.note("h")]), "state_dir": self.state, "of": "evil"}
        self.assertEqual(run_module("tree", arguments).code, -9)
        self.assertEqual(self.read("a"), "x")
        acme = [file(self.path("b"), "x")]
        self.write("b", "x")
        os.chmod(self.path("b"), 0o644)
        self.assertFalse(self.apply(acme, check=True, of="acme")["changed"])
        self.apply(acme, of="acme")
        self.assertEqual((self.read("a"), self.logged(), self.pending()), ("before", [], ["h"]))
        self.apply([file(self.path("a"), "x", handlers=["h"])], None, [self.note("h")], of="evil")
        self.assertEqual((self.logged(), self.pending()), (["h"], []))
        self.assert_no_leftovers()

    def test_a_daemon_that_a_handler_leaves_behind_does_not_hold_the_run(self):
        marker = os.path.join(self.root, "pid")
        script = "sleep 20 & echo $! > %s" % marker
        begin = time.monotonic()
        self.apply([file(self.path("a"), "x", handlers=["h"])], None, [("h", ["sh", "-c", script])])
        self.assertLess(time.monotonic() - begin, 15)
        with open(marker, encoding="utf-8") as stream:
            os.kill(int(stream.read()), 9)


class TwoAtOnce(Scratch):
    def test_two_trees_on_one_node_wait_for_each_other(self):
        log = os.path.join(self.root, "log")
        script = "echo in >> %s; sleep 0.3; echo out >> %s" % (log, log)
        running = []
        for name in ("a", "b", "c"):
            items = [file(self.path(name), "x", handlers=["h"])]
            arguments = {"tree": tree(items, None, [("h", ["sh", "-c", script])]), "state_dir": self.state}
            running.append(start_module("tree", arguments))
        for process in running:
            result = finished(process, process.communicate()[0])
            self.assertEqual(result.code, 0, result.text)
        with open(log, encoding="utf-8") as stream:
            self.assertEqual(stream.read().split(), ["in", "out"] * 3)

    def test_waiting_ends(self):
        items = [file(self.path("a"), "x", handlers=["h"])]
        ready = os.path.join(self.root, "ready")
        os.mkfifo(ready)
        script = "echo > %s; sleep 3" % ready
        arguments = {"tree": tree(items, None, [("h", ["sh", "-c", script])]), "state_dir": self.state}
        first = start_module("tree", arguments)
        with open(ready, encoding="utf-8") as stream:
            stream.read()
        result = self.refuse([file(self.path("b"), "x")], lock_timeout=0)
        self.assertIn("node's lock", result["msg"])
        first.communicate()
