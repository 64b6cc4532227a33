"""What a tenant can do to the programs that look at it: nothing beyond its own rights, a time and a size."""

import os
import re
import socket
import subprocess
import threading
import time
import unittest
from unittest import mock

from support import COLLECTIONS, NOBODY, Scratch

from ansible_collections.pressluft.host.plugins.module_utils import (
    accounts,
    copies,
    mariadb,
    pipeline,
    process,
    tenant,
    web,
)
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed
from ansible_collections.pressluft.host.plugins.module_utils.unprivileged import Child, collect

# A user that every machine has, with a group of the same name; there is no service manager where these tests run.
SITE = tenant.Tenant("daemon", "/")


def shell(script):
    return ["/bin/sh", "-c", script]


class Programs(Scratch):
    def setUp(self):
        super().setUp()
        patched = mock.patch.object(tenant, "MANAGER", "/nonexistent")
        patched.start()
        self.addCleanup(patched.stop)

    def test_a_program_runs_as_the_tenant_and_gets_what_it_is_given(self):
        script = "id -un; cat; echo $HOME; grep NoNewPrivs /proc/self/status"
        words = tenant.run(SITE, shell(script), stdin="a\nb\n" * 50000).stdout.split("\n")
        self.assertEqual((words[0], words[-3:-1]), ("daemon", ["/nonexistent", "NoNewPrivs:\t1"]))
        self.assertEqual(words[1:-3], ["a", "b"] * 50000)

    def test_a_program_is_ended_when_it_prints_too_much_or_takes_too_long(self):
        for script, word in (
            ("yes", "printed more than 64 KiB"),
            ("yes >&2", "printed more than 64 KiB"),
            ("trap '' TERM; kill -STOP $$", "did not end within 1 s"),
            ("sleep 60 & exec sleep 60", "did not end within 1 s"),
        ):
            begin = time.monotonic()
            with self.assertRaises(Failed) as failed:
                tenant.run(SITE, shell(script), timeout=1, most=65536, label="it")
            self.assertIn(word, str(failed.exception))
            self.assertLess(time.monotonic() - begin, 15, script)

    def test_a_program_of_root_is_bounded_too(self):
        with mock.patch.object(process, "MOST", 65536), self.assertRaisesRegex(Failed, "printed more than"):
            process.run(["yes"])

    def test_a_program_makes_no_file_without_an_end(self):
        os.chmod(self.work, 0o777)
        script = "trap '' XFSZ; truncate -s %d " + self.path("holes")
        self.assertEqual(tenant.run(SITE, shell(script % (1 << 30)), check=False).returncode, 0)
        for start in (tenant.start_client, lambda site, argv, **streams: tenant.start(site, argv, 20, **streams)):
            program = start(SITE, shell(script % (15 << 40)), stderr=subprocess.DEVNULL)
            self.assertNotEqual(program.wait(), 0)
            self.assertEqual(os.path.getsize(self.path("holes")), 1 << 30)

    def test_the_limits_of_a_process_are_the_same_however_it_is_started(self):
        sandbox = os.path.join(os.path.dirname(COLLECTIONS), "templates", "systemd", "sandbox.conf")
        with open(sandbox, encoding="utf-8") as stream:
            written = re.findall(r"^Limit([A-Z]+)=([0-9]+)(G?)$", stream.read(), re.M)
        pages = {name: int(number) << (30 if unit else 0) for name, number, unit in written}
        self.assertEqual(pages, {name: tenant.LIMITS[name] for name in ("NOFILE", "FSIZE")})
        self.assertLessEqual({"Limit%s=%d" % limit for limit in tenant.LIMITS.items()}, set(tenant.CONFINED))

    def flow(self, first, second, **limits):
        limits = dict({"seconds": 20, "still": 20, "most": 1 << 30}, **limits)
        return pipeline.run(
            lambda **streams: tenant.start(SITE, shell(first), 20, **streams),
            lambda **streams: tenant.start(SITE, shell(second), 20, **streams),
            pipeline.Limits(**limits),
            "it",
            given=("one", "two"),
        )

    def test_everything_flows_and_each_reads_its_own_line_first(self):
        out = self.path("out")
        os.chmod(self.work, 0o777)
        read = "read line; "
        codes = self.flow(read + "echo $line; head -c 9000000 /dev/zero", read + "echo $line >%s; cat >>%s" % (out, out))
        self.assertEqual(codes, [(0, ""), (0, "")])
        with open(out, "rb") as stream:
            self.assertEqual(stream.read(), b"two\none\n" + bytes(9000000))
        codes = self.flow("echo a; echo no >&2; exit 3", "cat; echo nor >&2; exit 4")
        self.assertEqual(codes, [(3, "no\n"), (4, "nor\n")])
        self.assertEqual(self.flow("yes", "exit 5")[1][0], 5)

    def test_what_stands_still_or_does_not_end_is_ended(self):
        for first, second, limits, word in (
            ("yes", "cat >/dev/null", {"most": 1 << 20}, "is more than 1 MiB"),
            ("while :; do echo x; sleep 0.1; done", "cat >/dev/null", {"seconds": 1}, "took longer than 1 s"),
            ("kill -STOP $$", "cat", {"still": 1}, "stood still for 1 s"),
            ("yes", "kill -STOP $$", {"still": 1}, "stood still for 1 s"),
            ("while :; do echo noise >&2; sleep 0.1; done", "cat", {"still": 1}, "stood still for 1 s"),
            ("exec >&-; sleep 60", "cat", {"still": 1}, "stood still for 1 s"),
        ):
            begin = time.monotonic()
            with self.assertRaises(Failed) as failed:
                self.flow(first, second, **limits)
            self.assertIn(word, str(failed.exception))
            self.assertLess(time.monotonic() - begin, 15, first)

    def test_what_drips_is_ended_and_what_is_slow_is_not(self):
        drip = "while :; do echo x; sleep 0.1; done"
        with mock.patch.object(pipeline, "GRACE", 1):
            begin = time.monotonic()
            with self.assertRaisesRegex(Failed, "moved less than 100 KiB/s"):
                self.flow(drip, "cat >/dev/null", least=copies.LEAST)
            self.assertLess(time.monotonic() - begin, 10)
            # What has moved much may then stand still.
            slow = "head -c 4000000 /dev/zero; sleep 3; echo end"
            self.assertEqual(self.flow(slow, "cat >/dev/null", least=copies.LEAST), [(0, ""), (0, "")])

    def test_a_copy_ends_before_others_have_waited_for_the_lock(self):
        self.assertLess(copies.SECONDS + pipeline.GRACE, 900)
        clock = copies.Time()
        self.assertIn(clock.left(), range(copies.SECONDS - 5, copies.SECONDS + 1))
        with mock.patch.object(clock, "end", time.monotonic()), self.assertRaisesRegex(Failed, "longer than 780 s"):
            clock.left()
        # A large honest site: 10 GiB from a disk that reads 15 MiB/s.
        self.assertLess(10 * 1024 / 15, copies.SECONDS)


class Statements(unittest.TestCase):
    def test_each_statement_of_root_has_an_end_and_waits_for_no_lock_for_long(self):
        for seconds, more in ((mariadb.ROOT_SECONDS, {}), (77, {"seconds": 77})):
            done = subprocess.CompletedProcess([], 0, "", "")
            with mock.patch.object(mariadb, "run", return_value=done) as ran:
                mariadb.query("SELECT 1;\n", **more)
            sent = ran.call_args.kwargs["stdin"]
            head, _, tail = sent.partition("SELECT 1;")
            self.assertIn("max_statement_time = %d, lock_wait_timeout = 10, innodb_lock_wait_timeout = 10;" % seconds, head)
            self.assertEqual(tail, "\n")
            self.assertEqual(ran.call_args.kwargs["timeout"], 2 * seconds)


class Children(Scratch):
    def told(self, work, seconds=5, deadline=5):
        return collect([Child(work, seconds)], time.monotonic() + deadline)[0]

    def test_a_child_has_no_rights_and_tells_lines(self):
        secret = self.write("secret", "x", 0o600)

        def work(tell):
            tell("%d %d" % (os.getuid(), os.getgid()))
            for attempt in (lambda: open(secret), lambda: os.fork(), lambda: os.setuid(0), lambda: bytearray(1 << 30)):
                try:
                    attempt()
                    tell("did it")
                except (OSError, MemoryError) as error:
                    tell(type(error).__name__)
            tell(str(len(os.listdir("/proc/self/fd"))))

        expected = ["%d %d" % (NOBODY.pw_uid, NOBODY.pw_gid)]
        expected += ["PermissionError", "BlockingIOError", "PermissionError", "MemoryError"]
        told = self.told(work)
        self.assertEqual(told[:-1], expected)
        self.assertLessEqual(int(told[-1]), 5)

    def test_a_child_ends_in_time_and_is_read_in_bounds(self):
        def forever(tell):
            tell("one")
            while True:
                pass

        def flood(tell):
            while True:
                tell("x" * 1000)

        def wait(tell):
            tell("one")
            time.sleep(60)

        begin = time.monotonic()
        self.assertEqual(self.told(forever, deadline=1), ["one"])
        # It takes nothing of the processor, so nothing else ends it.
        self.assertEqual(self.told(wait, deadline=1), ["one"])
        self.assertEqual(self.told(forever, seconds=1, deadline=20), ["one"])
        self.assertLess(len(self.told(flood)), 100)
        self.assertEqual(self.told(lambda tell: 1 / 0), [])
        self.assertLess(time.monotonic() - begin, 15)


class Visits(unittest.TestCase):
    def serve(self, answer):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def work():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                try:
                    answer(connection)
                except OSError:
                    pass

        threading.Thread(target=work, daemon=True).start()
        patched = mock.patch.dict(web.PORTS, {"http": server.getsockname()[1]})
        patched.start()
        self.addCleanup(patched.stop)

    def fetch(self):
        with web.within(1):
            return web.fetch("http://acme.example/", {"acme.example"})

    def test_an_answer_that_drips_is_late_as_a_whole(self):
        for first in (b"HTTP/1.1 200 OK\r\n\r\n", b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 9):

            def drip(connection, first=first):
                connection.sendall(first)
                while True:
                    time.sleep(0.1)
                    connection.sendall(b"x")

            self.serve(drip)
            begin = time.monotonic()
            with self.assertRaises(web.Late):
                self.fetch()
            self.assertLess(time.monotonic() - begin, 4)

    def test_redirects_stay_on_the_web_server_of_the_site(self):
        for target, word in (
            ("http://acme.example:6379/", "not the web server"),
            ("ftp://acme.example/", "not the web server"),
            ("http://other.example/", "not this site"),
            ("http://[", "no address"),
            ("http://acme.example:x/", "no address"),
        ):
            self.serve(lambda c, t=target: c.sendall(b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % t.encode()))
            with self.assertRaises(web.Unreachable) as refused:
                self.fetch()
            self.assertIn(word, str(refused.exception))

    def test_a_large_answer_is_cut(self):
        self.serve(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5 << 20)))
        self.assertEqual(len(self.fetch().body), web.LARGEST)


def hexadecimal(*fields):
    return tuple(field.encode().hex() for field in fields)


class Accounts(unittest.TestCase):
    OWN = ("user", *hexadecimal("localhost"), "0", accounts.password_hash("p"), accounts.PLUGIN, "0", "0", "0", "0", "")
    AGE = ("1700000000", "-1")
    LIMITS = ("0", "0", "0", "14", "0.000000")
    GRANT = ("schema", *hexadecimal("localhost", "wp\\_a"), ",".join(accounts.PRIVILEGES))

    def ensure(self, *rows, user=None, triggers=False):
        statements = []
        patched = mock.patch.object(accounts, "has_triggers", return_value=triggers)
        with patched, mock.patch.object(accounts, "query", side_effect=statements.append):
            given = [("database",), user or self.OWN + self.AGE + self.LIMITS, *rows]
            changes, wider = accounts.ensure("wp_a", "p", accounts.connections(2), False, given)
        text = "".join(statements)
        decoded = [bytes.fromhex(part.partition("'")[0]).decode() for part in text.split("X'")[1:]]
        return changes, wider, decoded

    def test_an_account_that_is_right_is_left_alone(self):
        self.assertEqual(self.ensure(self.GRANT), ([], [], []))

    def test_what_accounts_once_had_is_taken_without_a_word(self):
        row = self.GRANT[:3] + (self.GRANT[3] + ",TRIGGER,CREATE VIEW,SHOW VIEW",)
        changes, wider, statements = self.ensure(row)
        self.assertEqual((changes, wider), (["grants"], []))
        self.assertEqual([word.split(" ")[0] for word in statements], ["REVOKE", "GRANT"])
        self.assertNotIn("TRIGGER", statements[1])
        self.assertEqual(self.ensure(self.GRANT[:3] + (self.GRANT[3] + ",TRIGGER",), triggers=True), ([], [], []))

    def test_what_is_narrower_is_granted(self):
        changes, wider, statements = self.ensure(self.GRANT[:3] + ("SELECT",))
        self.assertEqual((changes, wider, len(statements)), (["grants"], [], 1))
        changes, _, statements = self.ensure(self.GRANT, user=self.OWN + self.AGE + ("0", "0", "0", "0", "0"))
        self.assertEqual(changes, ["limits"])
        for age in (("0", "-1"), ("1700000000", "30"), ("1700000000", "0")):
            changes, _, statements = self.ensure(self.GRANT, user=self.OWN + age + self.LIMITS)
            self.assertEqual(changes, ["password's end"])
            self.assertIn("PASSWORD EXPIRE DEFAULT", statements[0])
        self.assertIn("MAX_USER_CONNECTIONS 14", statements[0])

    def test_each_right_beside_its_own_is_told_and_revoked(self):
        here, everywhere, other = *hexadecimal("localhost", "%"), *hexadecimal("other")
        cases = (
            (("global", "FILE"), "FILE for all databases"),
            (("schema", here, other, "SELECT"), "SELECT in the database `other`"),
            (("schema", here, *hexadecimal("wp_a"), "SELECT"), "SELECT in the database `wp_a`"),
            (("schema", here, *hexadecimal("wp\\_a"), self.GRANT[3] + ",EVENT"), "EVENT in its own database"),
            (("held", here, *hexadecimal("table `other`.`t`")), "rights of its own for the table `other`.`t`"),
            (("role", here, other), "the role `other`"),
            (("proxy", here, other, everywhere), "the place of `other`@`%`"),
        )
        for row, told in cases:
            changes, wider, statements = self.ensure(self.GRANT, row)
            self.assertEqual(wider, [told])
            self.assertIn("revoke " + told, changes)
            self.assertIn("REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'wp_a'@localhost", statements)
            self.assertTrue(statements[-1].startswith("GRANT SELECT, "), statements)

    def test_names_of_strangers_stay_in_their_quotes(self):
        evil = "a'; DROP DATABASE x; -- \n\\"
        rows = [self.GRANT, ("proxy", *hexadecimal("localhost", evil, "%")), ("role", *hexadecimal("localhost", evil))]
        rows.append(("user", *hexadecimal(evil), "0", "", "", "0", "0", "0", "0", "", *self.LIMITS))
        _, wider, statements = self.ensure(*rows)
        self.assertEqual(len(wider), 3)
        self.assertNotIn("\n", "".join(wider))
        quoted = evil.replace("'", "''")
        self.assertIn("REVOKE PROXY ON '%s'@'%%' FROM 'wp_a'@localhost" % quoted, statements)
        self.assertIn("DROP USER 'wp_a'@'%s'" % quoted, statements)


if __name__ == "__main__":
    unittest.main()
