"""A file from elsewhere, and how many remote executions a run takes."""

import hashlib
import http.server
import os
import threading

from support import NODE_PYTHON, Scratch, file, run_module, tree


class Steps(Scratch):
    def steps(self, *contents):
        return [
            {"kind": "tree", "options": {"tree": tree([file(self.path(name), "x")]), "of": "node", "state_dir": self.state}}
            for name in contents
        ]

    def carry_out(self, names, **more):
        return run_module("converge", dict({"steps": self.steps(*names), "state_dir": self.state}, **more)).all

    def test_what_is_as_it_should_be_takes_one_run_and_each_change_one_more(self):
        first = self.carry_out("abc")
        self.assertEqual([result["changed"] for result in first], [True])
        self.assertEqual(os.listdir(self.work), ["a"])
        self.assertEqual([result["changed"] for result in self.carry_out("abc")], [False])
        self.carry_out("bc")
        self.assertEqual([result["changed"] for result in self.carry_out("cab")], [True, False, False])
        self.assertEqual([result["changed"] for result in self.carry_out("abc")], [False] * 3)

    def test_a_first_step_can_be_looked_at_only(self):
        self.assertEqual(self.carry_out("a", perform=False), [{}])
        self.assertEqual(os.listdir(self.work), [])
        self.carry_out("a")
        self.assertEqual([result["changed"] for result in self.carry_out("a", perform=False)], [False])

    def test_check_mode_looks_at_everything(self):
        results = self.carry_out("abc", _ansible_check_mode=True)
        self.assertEqual([result["changed"] for result in results], [True] * 3)
        self.assertEqual(os.listdir(self.work), [])

    def test_a_step_that_fails_is_the_last_one(self):
        os.mkdir(self.path("b"))
        self.carry_out("a")
        results = self.carry_out("abc")
        self.assertEqual([result.get("failed", False) for result in results], [False])
        results = self.carry_out("bc")
        self.assertEqual([result.get("failed", False) for result in results], [True])
        self.assertIn("is a directory", results[0]["msg"])
        self.assertFalse(os.path.exists(self.path("c")))


class Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


class Sources(Scratch):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("here"))
        self.content = os.urandom(100000)
        for name, content in {
            "file": self.content,
            "file.sha1": hashlib.sha1(self.content).hexdigest().encode() + b"\n",
            "other.sha1": b"0" * 40,
            "bad.sha1": b"<html>",
        }.items():
            with open(self.path("here", name), "wb") as stream:
                stream.write(content)
        self.dest = self.path("dest")

    def serve(self):
        def handler(*arguments):
            return Server(*arguments, directory=self.path("here"))

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return "http://127.0.0.1:%d/" % server.server_port

    def fetch(self, **options):
        given = {"dest": self.dest, "mode": "0640", "url": None, "upload": None, "checksum": None, "checksum_url": None}
        given["allow_private"] = ["127.0.0.0/8"]
        return run_module("source", dict(given, state_dir=self.state, **options))

    def got(self):
        with open(self.dest, "rb") as stream:
            return stream.read()

    def test_a_file_is_fetched_once_and_has_its_digest(self):
        url = self.serve()
        right = {"url": url + "file", "checksum": "sha512:" + hashlib.sha512(self.content).hexdigest()}
        self.assertTrue(self.fetch(**right)["changed"])
        self.assertEqual(self.got(), self.content)
        self.assertFalse(self.fetch(**right)["changed"])
        os.chmod(self.dest, 0o600)
        self.assertEqual(self.fetch(**right)["changes"], ["mode of " + self.dest])
        self.write("dest", "something else", 0o640)
        self.assertTrue(self.fetch(**right)["changed"])
        self.assertEqual(self.got(), self.content)

        os.unlink(self.dest)
        wrong = self.fetch(url=url + "file", checksum="sha256:" + "0" * 64)
        self.assertIn("its SHA256 is another", wrong["msg"])
        self.assertIn("404", self.fetch(url=url + "missing")["msg"])
        self.assertEqual(sorted(os.listdir(self.work)), ["here"])

    def test_a_digest_may_be_published_beside_the_file(self):
        url = self.serve()
        for name, word in (("other.sha1", "its SHA1 is another"), ("bad.sha1", "holds no digest")):
            self.assertIn(word, self.fetch(url=url + "file", checksum_url=url + name)["msg"])
        self.assertFalse(os.path.exists(self.dest))
        self.assertTrue(self.fetch(url=url + "file", checksum_url=url + "file.sha1")["changed"])
        self.assertFalse(self.fetch(url=url + "file", checksum_url=url + "file.sha1")["changed"])

    def test_a_private_address_is_asked_only_when_it_is_allowed(self):
        url = self.serve()
        port = url.rstrip("/").rpartition(":")[2]
        asked = []
        for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"):
            answer = self.fetch(url="http://%s:%s/file" % (host, port), allow_private=[])
            asked.append("private address" in answer["msg"])
        self.assertEqual(asked, [True] * 7)
        self.assertFalse(os.path.exists(self.dest))
        self.assertTrue(self.fetch(url="http://localhost:%s/file" % port, allow_private=["localhost"])["changed"])

    def test_a_redirect_is_looked_at_again(self):
        url = self.serve()
        elsewhere = {
            "/private": "http://192.168.0.1/",
            "/metadata": "http://169.254.169.254/latest/meta-data/",
            "/file-scheme": "file:///etc/shadow",
            "/circle": "/circle",
            "/good": url + "file",
        }

        class Redirecting(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(302)
                self.send_header("Location", elsewhere[self.path])
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirecting)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        here = "http://127.0.0.1:%d" % server.server_port
        for path, word in (
            ("/private", "private address `192.168.0.1`"),
            ("/metadata", "private address `169.254.169.254`"),
            ("/file-scheme", "no address to download from"),
            ("/circle", "more than 5 times"),
        ):
            self.assertIn(word, self.fetch(url=here + path)["msg"])
        self.assertFalse(os.path.exists(self.dest))
        self.assertTrue(self.fetch(url=here + "/good")["changed"])

    def test_a_file_of_the_control_plane_is_uploaded_only_when_it_differs(self):
        step = {"name": "File", "source": {"src": self.path("here", "file"), "dest": self.dest, "mode": "0640"}}
        options = {"src": self.tree_file([file(self.path("a"), "x")]), "of": "node", "state_dir": self.state}
        files = {"name": "Tree", "tree": options}
        changed = [self.statuses(files, step, "--check"), self.statuses(files, step), self.statuses(files, step)]
        self.assertEqual(changed, [["changed", "changed"], ["changed", "changed"], ["ok", "ok"]])
        self.assertEqual(self.got(), self.content)
        self.assertEqual(self.statuses(step), ["ok"])
        os.unlink(self.dest)
        self.assertEqual(self.statuses(step), ["changed"])

    def test_an_upload_is_root_s_alone_has_a_name_of_ours_and_does_not_stay(self):
        seen = self.path("seen")
        watch = "import os, stat, sys; d = %r; n = os.listdir(d)[0]; s = os.stat(os.path.join(d, n)); "
        watch += "print(n, s.st_uid, oct(stat.S_IMODE(s.st_mode)), file=open(%r, 'a'))"
        cache = os.path.join(self.state, "cache")
        python = self.write(
            "python",
            "#!/bin/sh\n[ -z \"$(ls %s 2>/dev/null)\" ] || %s -c \"%s\"\nexec %s \"$@\"\n"
            % (cache, NODE_PYTHON, watch % (cache, seen), NODE_PYTHON),
            0o755,
        )
        old = os.path.join(cache, "upload-left-over")
        os.makedirs(cache)
        with open(old, "wb"):
            os.utime(old, (0, 0))
        big = self.write("big", "x" * (9 << 20))
        step = {"name": "File", "source": {"src": big, "dest": self.dest, "mode": "0640"}}
        self.statuses(step, "-e", "ansible_python_interpreter=" + python, own_python=False)
        self.assertEqual(os.stat(self.dest).st_size, 9 << 20)
        with open(seen, encoding="ascii") as stream:
            lines = [line for line in stream if not line.startswith("upload-left-over")]
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], "^upload-[0-9a-f]{32} 0 0o600$")
        self.assertEqual(os.listdir(cache), [])

    def statuses(self, *words, **more):
        steps = [word for word in words if isinstance(word, dict)]
        options = [word for word in words if not isinstance(word, dict)]
        events = self.events([self.converge(*steps)], *options, **more)
        return [event["status"] for event in events if event["event"] == "task"]
