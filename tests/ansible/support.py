"""A scratch directory, our program run as on a node, and playbooks run by ansible-playbook."""

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
COLLECTIONS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "ansible", "collections")
NODE_PYTHON = os.environ.get("PRESSLUFT_NODE_PYTHON", sys.executable)
NOBODY = pwd.getpwnam("nobody")
sys.path.append(COLLECTIONS)

# The directory of the collection has to be known first.
from ansible_collections.pressluft.host.plugins.module_utils.program import MARK  # noqa: E402
from ansible_collections.pressluft.host.plugins.plugin_utils import answers  # noqa: E402
from ansible_collections.pressluft.host.plugins.plugin_utils.remote import loader, packed  # noqa: E402


class Result(dict):
    """What a step returned; `code` is the exit code of the run, `text` its whole output, `all` the results of all steps."""

    code = 0
    text = ""
    all = ()


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
        """Applies a tree of items and returns its result; it must not fail."""
        result = self.start(items, validators, handlers, check, diff, **more)
        self.assertFalse(result.get("failed"), result.get("msg", result.text))
        return result

    def refuse(self, items, validators=None, handlers=None, **more):
        """Applies a tree of items; it must fail."""
        result = self.start(items, validators, handlers, **more)
        self.assertTrue(result.get("failed"), result.text)
        return result

    def start(self, items, validators=None, handlers=None, check=False, diff=False, **more):
        arguments = {
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

    def playbook(self, tasks, *options, check_code=0, environment=None, play=None, pass_fds=(), own_python=True):
        """Runs tasks on this machine; returns the finished process. Without `own_python` a task may name another."""
        book = [dict({"hosts": "all", "gather_facts": False, "tasks": tasks}, **(play or {}))]
        path = os.path.join(self.root, "playbook.json")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(book, stream)
        command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", "node,", "-c", "local"]
        command += ["-e", "@" + self.job(), *options, path]
        if own_python:
            command += ["-e", "ansible_python_interpreter=%s" % NODE_PYTHON]
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

    def job(self):
        """The variable that says which job a playbook belongs to."""
        path = os.path.join(self.root, "job.json")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump({"pressluft": {"job": {"id": "job-1", "token": 1, "control_plane": "plane-1"}}}, stream)
        return path

    def converge(self, *steps, **more):
        """A task that carries out steps, named like the first."""
        options = {"steps": list(steps), "state_dir": self.state, "run_dir": self.state}
        return dict({"name": steps[0]["name"], "pressluft.host.converge": options}, **more)

    def tree_task(self, src, **more):
        return self.converge({"name": "Tree", "tree": {"src": src, "of": "node", "state_dir": self.state}}, **more)

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
        "handlers": [dict(zip(("name", "argv", "covers"), handler)) for handler in (handlers or [])],
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


# A command that kills the run which it is a part of: its parent is the guard, and the guard's parent the run.
KILL = ["sh", "-c", "read -r pid name state run rest </proc/$PPID/stat; kill -9 $run"]


def fence(token=1, job="job-1", control_plane="plane-1"):
    return {"control_plane": control_plane, "name": control_plane, "token": token, "job": job}


def request_of(kind, arguments):
    """What the control plane would send for one step, or for a program that only reads."""
    if kind in ("facts", "health"):
        return {"program": kind, "options": arguments}
    arguments = dict(arguments)
    if kind == "tree":
        arguments.setdefault("of", "node")
    check_mode = arguments.pop("_ansible_check_mode", False)
    want_diff = arguments.pop("_ansible_diff", False)
    request = {
        "program": "converge",
        "fence": arguments.pop("fence", fence()),
        "check_mode": check_mode,
        "diff": want_diff,
        "timeout": arguments.pop("lock_timeout", 60),
        "perform": arguments.pop("perform", True),
        "record": os.path.join(arguments.get("state_dir", "/nonexistent"), "fence"),
    }
    request["lock"] = request["record"] + ".lock"
    request["steps"] = arguments.pop("steps", [{"kind": kind, "options": arguments}])
    return request


def run_module(kind, arguments):
    process = start_module(kind, arguments)
    return finished(process, process.communicate()[0])


def start_module(kind, arguments):
    """Starts the program that Pressluft sends to a node, as it is started there."""
    request = request_of(kind, arguments)
    with tempfile.TemporaryFile() as stream:
        stream.write(packed(request))
        stream.seek(0)
        process = subprocess.Popen(
            [NODE_PYTHON, "-I", "-S", "-c", loader()],
            stdin=stream,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    process.asked = (request["program"], [step["kind"] for step in request.get("steps", ())])
    return process


def finished(process, output):
    """The result of the one step, or of the run when it came to none.

    What our own program answers is what the control plane takes for an answer of it.
    """
    program, kinds = process.asked
    data = output.encode("utf-8", "replace")
    if program == "converge":
        answers.converge(data, kinds)
    else:
        {"facts": answers.facts, "health": answers.health}[program](data)
    try:
        answer = json.loads(output.rpartition(MARK)[2])
    except ValueError:
        answer = {}
    results = answer.pop("results", None) or [{}]
    result = Result(dict(answer, **results[0]))
    result.all = results
    result.code = 1 if result.get("failed") else process.returncode
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
