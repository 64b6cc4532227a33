"""A scratch directory, the modules run as programs, and playbooks run by ansible-playbook."""

import json
import os
import pwd
import runpy
import shutil
import stat
import subprocess
import sys
import tempfile
import traceback
import unittest

import ansible
import ansible.module_utils.basic  # noqa: F401  loaded once for all forked modules

HERE = os.path.dirname(os.path.abspath(__file__))
COLLECTIONS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "ansible", "collections")
MODULES = os.path.join(COLLECTIONS, "ansible_collections", "pressluft", "host", "plugins", "modules")
MODULE_PATH = os.pathsep.join([COLLECTIONS, os.path.dirname(os.path.dirname(ansible.__file__))])
NODE_PYTHON = os.environ.get("PRESSLUFT_NODE_PYTHON", sys.executable)
NOBODY = pwd.getpwnam("nobody")
sys.path.append(COLLECTIONS)


class Result(dict):
    """What a module returned; `code` is its exit code and `text` its whole output."""

    code = 0
    text = ""


class Scratch(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="pressluft-test-")
        os.chmod(self.root, 0o755)
        self.addCleanup(shutil.rmtree, self.root)
        self.work = os.path.join(self.root, "work")
        os.mkdir(self.work)
        self.state = os.path.join(self.root, "state")

    def path(self, *names):
        return os.path.join(self.work, *names)

    def write(self, name, content, mode=0o644, owner=0):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(content)
        os.chown(path, owner, owner)
        os.chmod(path, mode)
        return path

    def read(self, name):
        with open(self.path(name), encoding="utf-8", newline="") as stream:
            return stream.read()

    def old_state(self):
        self.write("changed", "old", 0o640, NOBODY.pw_uid)
        self.write("removed", "gone?", 0o604)
        os.symlink("old-target", self.path("link"))
        os.lchown(self.path("link"), NOBODY.pw_uid, NOBODY.pw_gid)
        os.symlink("was-a-link", self.path("file-now"))
        self.write("link-now", "was a file")
        os.symlink("x", self.path("removed-link"))
        os.makedirs(self.path("tree", "below"))
        self.write("tree/below/file", "deep")
        os.mkdir(self.path("empty"), 0o711)
        os.mkdir(self.path("attributes"))
        os.chown(self.path("attributes"), NOBODY.pw_uid, NOBODY.pw_gid)

    def new_state(self, **more):
        return [
            file(self.path("changed"), "new", **more),
            file(self.path("created"), "new", **more),
            directory(self.path("dir"), **more),
            directory(self.path("dir", "dir"), **more),
            file(self.path("dir", "dir", "file"), "new", **more),
            link(self.path("dir", "link"), "x", **more),
            link(self.path("link"), "new-target", **more),
            file(self.path("file-now"), "now a file", **more),
            link(self.path("link-now"), "now-a-link", **more),
            directory(self.path("attributes"), mode="0700", **more),
            absent(self.path("removed"), **more),
            absent(self.path("removed-link"), **more),
            absent(self.path("empty"), **more),
            absent(self.path("tree"), recursive=True, **more),
        ]

    def apply(self, items, validators=None, handlers=None, check=False, diff=False, **more):
        """Runs the tree module on items and returns its result; it must not fail."""
        result = self.start(items, validators, handlers, check, diff, **more)
        self.assertFalse(result.get("failed"), result.get("msg", result.text))
        return result

    def refuse(self, items, validators=None, handlers=None, **more):
        """Runs the tree module on items; it must fail."""
        result = self.start(items, validators, handlers, **more)
        self.assertTrue(result.get("failed"), result.text)
        return result

    def start(self, items, validators=None, handlers=None, check=False, diff=False, **more):
        arguments = {
            "src": "tree.json",
            "tree": tree(items, validators, handlers),
            "state_dir": self.state,
            "_ansible_check_mode": check,
            "_ansible_diff": diff,
        }
        return run_module("tree", dict(arguments, **more))

    def pending(self):
        try:
            with open(os.path.join(self.state, "pending-handlers.json"), encoding="utf-8") as stream:
                return [entry["name"] for entry in json.load(stream)["handlers"]]
        except FileNotFoundError:
            return []

    def assert_no_leftovers(self):
        for folder, names, files in os.walk(self.work):
            for name in names + files:
                self.assertNotIn(".pressluft-", name, folder)

    def playbook(self, tasks, *options, check_code=0, environment=None, play=None, pass_fds=()):
        """Runs tasks on this machine; returns the finished process."""
        book = [dict({"hosts": "all", "gather_facts": False, "tasks": tasks}, **(play or {}))]
        path = os.path.join(self.root, "playbook.json")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(book, stream)
        command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", "node,", "-c", "local"]
        command += ["-e", "ansible_python_interpreter=%s" % NODE_PYTHON, *options, path]
        variables = dict(
            os.environ,
            ANSIBLE_COLLECTIONS_PATH=COLLECTIONS,
            ANSIBLE_CALLBACKS_ENABLED="pressluft.host.events",
            ANSIBLE_LOCAL_TEMP=os.path.join(self.root, "local"),
            ANSIBLE_REMOTE_TEMP=os.path.join(self.root, "remote"),
            ANSIBLE_NOCOLOR="1",
        )
        variables.update(environment or {})
        process = subprocess.run(
            command, env=variables, cwd=self.root, capture_output=True, text=True, check=False, pass_fds=pass_fds
        )
        self.assertEqual(process.returncode, check_code, process.stdout + process.stderr)
        return process

    def events(self, tasks, *options, **more):
        """The events of a playbook run, as dictionaries."""
        path = os.path.join(self.root, "events")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            variables = dict(more.pop("environment", {}), PRESSLUFT_EVENTS_FD=str(fd))
            self.playbook(tasks, *options, environment=variables, pass_fds=(fd,), **more)
        finally:
            os.close(fd)
        with open(path, "rb") as stream:
            self.lines = stream.read().splitlines(keepends=True)
        return [json.loads(line) for line in self.lines]

    def tree_file(self, items, validators=None, handlers=None):
        path = os.path.join(self.root, "tree.json")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(tree(items, validators, handlers), stream)
        return path


def tree(items, validators=None, handlers=None):
    return {
        "version": 1,
        "validators": {name: {"argv": argv} for name, argv in (validators or {}).items()},
        "handlers": [{"name": name, "argv": argv} for name, argv in (handlers or [])],
        "items": items,
    }


def file(path, content, **more):
    return dict({"path": path, "kind": "file", "content": content}, **more)


def directory(path, **more):
    return dict({"path": path, "kind": "directory"}, **more)


def link(path, target, **more):
    return dict({"path": path, "kind": "link", "target": target}, **more)


def absent(path, **more):
    return dict({"path": path, "kind": "absent"}, **more)


def run_module(name, arguments):
    process = start_module(name, arguments)
    return finished(process, process.communicate()[0])


def start_module(name, arguments):
    """Starts a module as Ansible does: a program that reads its arguments from standard input."""
    program = os.path.join(MODULES, name + ".py")
    with tempfile.TemporaryFile("w+") as stream:
        json.dump({"ANSIBLE_MODULE_ARGS": arguments}, stream)
        stream.seek(0)
        if NODE_PYTHON == sys.executable:
            return Forked(program, stream)
        return subprocess.Popen(
            [NODE_PYTHON, program],
            stdin=stream,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(os.environ, PYTHONPATH=MODULE_PATH),
            text=True,
        )


class Forked:
    """A module in a child of this process, which has Ansible's libraries loaded already; it looks like a `Popen`."""

    def __init__(self, program, arguments):
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                os.dup2(arguments.fileno(), 0)
                os.dup2(writing, 1)
                os.dup2(writing, 2)
                sys.stdin, sys.argv = open(0, encoding="utf-8"), [program]
                sys.stdout = sys.stderr = open(1, "w", encoding="utf-8")
                runpy.run_path(program, run_name="__main__")
            except SystemExit as end:
                code = end.code or 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        os.close(writing)
        self.output = open(reading, encoding="utf-8")
        self.returncode = None

    def communicate(self):
        with self.output:
            text = self.output.read()
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return text, None


def finished(process, output):
    start = output.find("{")
    result = Result(json.loads(output[start:]) if start >= 0 else {})
    result.code = process.returncode
    result.text = output
    return result


def digest(*roots):
    """Everything that can be told about the files below some directories, times and inodes included."""
    seen = []
    for root in roots:
        for folder, names, files in sorted(os.walk(root)):
            for name in sorted(names + files) + ["."]:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                content = None
                if stat.S_ISLNK(status.st_mode):
                    content = os.readlink(path)
                elif stat.S_ISREG(status.st_mode):
                    with open(path, "rb") as stream:
                        content = stream.read()
                seen.append(
                    (path, status.st_mode, status.st_uid, status.st_gid, status.st_ino, status.st_mtime_ns, content)
                )
    return seen


def shape(root):
    """Like `digest`, without times and inodes: what a rollback has to bring back."""
    return [entry[:4] + entry[6:] for entry in digest(root)]
