"""What is held back, and whom the lists of packages are waited for."""

import os
import subprocess
from unittest import mock

from support import Scratch

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed
from ansible_collections.pressluft.host.plugins.module_utils.steps import packages

BUSY = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get)\n"


class Node:
    check_mode = False
    want_diff = True

    def __init__(self):
        self.warnings = []
        self.warn = self.warnings.append


class Packages(Scratch):
    def setUp(self):
        super().setUp()
        self.held = {"nginx": "install", "redis": "install", "kernel": "hold"}
        self.ran = []
        self.answers = []
        for name, value in (("HELD", self.path("state", "held")), ("statuses", lambda: dict(self.held))):
            patched = mock.patch.object(packages, name, value)
            patched.start()
            self.addCleanup(patched.stop)
        for name, value in (("run", self.run_program), ("LOOK_SECONDS", 0)):
            patched = mock.patch.object(packages, name, value)
            patched.start()
            self.addCleanup(patched.stop)

    def run_program(self, argv, **more):
        self.ran.append(argv)
        if argv[:2] in (["apt-mark", "hold"], ["apt-mark", "unhold"]):
            self.held.update(dict.fromkeys(argv[3:], "hold" if argv[1] == "hold" else "install"))
        code, errors = self.answers.pop(0) if self.answers else (0, "")
        return subprocess.CompletedProcess(argv, code, "", errors)

    def hold(self, *names):
        return packages.carry_out({"name": [], "hold": list(names)}, Node())

    def test_what_nobody_asks_for_any_more_is_let_go_and_what_others_hold_stays(self):
        self.assertEqual(self.hold("nginx", "redis")["held"], ["nginx", "redis"])
        self.assertFalse(self.hold("nginx", "redis")["changed"])
        result = self.hold("redis")
        self.assertEqual((result["released"], result["diff"]["after"]), (["nginx"], "unhold nginx\n"))
        self.assertEqual(self.held, {"nginx": "install", "redis": "hold", "kernel": "hold"})
        # Also one that somebody held before us is theirs.
        self.assertFalse(self.hold("redis", "kernel")["changed"])
        self.hold()
        self.assertEqual(self.held, {"nginx": "install", "redis": "install", "kernel": "hold"})
        self.assertEqual(os.listdir(self.path("state")), ["held"])

    def test_whoever_has_another_lock_is_waited_for_and_named(self):
        archives = "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 815 (apt-get)\n"
        dpkg = "dpkg: error: dpkg database lock was locked by another process with pid 816\n"
        told = []
        self.answers = [(100, archives), (100, archives), (0, "")]
        done, _ = packages.patiently(packages.APT + ["install", "--", "nginx"], told.append)
        self.assertEqual((done.returncode, len(self.ran)), (0, 3))
        self.answers = [(1, dpkg), (0, "")]
        packages.required(["apt-mark", "hold", "--", "nginx"], told.append)
        self.assertEqual(told, ["`apt-get --yes` waits for process 815 (apt-get)", "`apt-mark hold` waits for process 816"])
        self.answers = [(1, dpkg)]
        with mock.patch.object(packages, "LOCK_SECONDS", -1), self.assertRaisesRegex(Failed, "pid 816"):
            packages.required(["apt-mark", "hold", "--", "nginx"], told.append)
        # dpkg's own lock has been waited for by then.
        frontend = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 817 (dpkg)\n"
        self.answers = [(100, frontend)]
        with self.assertRaisesRegex(Failed, "817"):
            packages.required(packages.APT + ["install", "--", "nginx"], told.append)

    def test_whoever_fetches_the_lists_is_waited_for(self):
        self.answers = [(100, BUSY), (100, BUSY), (0, "")]
        packages.update(lambda text: None)
        self.assertEqual(len(self.ran), 3)
        self.answers = [(100, "E: no network\n")]
        with self.assertRaisesRegex(Failed, "no network"):
            packages.update(lambda text: None)
        self.answers = [(100, BUSY)]
        with mock.patch.object(packages, "LOCK_SECONDS", -1), self.assertRaisesRegex(Failed, r"4711 \(apt-get\)"):
            packages.update(lambda text: None)
