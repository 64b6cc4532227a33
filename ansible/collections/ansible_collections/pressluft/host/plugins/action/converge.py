"""Brings a node to its state, step by step, in as few remote executions as there are changes."""

from __future__ import annotations

import hashlib
import json
import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.pressluft.host.plugins.module_utils.event_line import fitting
from ansible_collections.pressluft.host.plugins.plugin_utils import answers, upload
from ansible_collections.pressluft.host.plugins.plugin_utils.events import Events, details_of
from ansible_collections.pressluft.host.plugins.plugin_utils.options import ONE_OF, STEPS, checked
from ansible_collections.pressluft.host.plugins.plugin_utils.remote import execute, plain

OPTIONS = {
    "steps": {"type": "list", "elements": "dict", "required": True},
    "state_dir": {"type": "str", "default": "/var/lib/pressluft"},
    "run_dir": {"type": "str", "default": "/run/pressluft"},
    "lock_timeout": {"type": "int", "default": 900},
}


DIFFS_LIMIT = 256 * 1024


class Step:
    """One entry of `steps`, checked and completed with what the node cannot know."""

    def __init__(self, entry):
        kinds = [key for key in entry if key != "name"]
        if len(kinds) != 1 or kinds[0] not in STEPS or not isinstance(entry.get("name"), str):
            raise AnsibleActionFail(
                "a step has a `name` and one of %s; this one has %s" % (", ".join(sorted(STEPS)), ", ".join(entry))
            )
        self.name, self.kind = entry["name"], kinds[0]
        options = checked(self.kind, STEPS[self.kind], entry[self.kind] or {}, ONE_OF.get(self.kind))
        # Files of the control plane by their digests; the node says which of them it has to be given.
        self.uploads = {}
        if self.kind == "tree":
            # The text never meets the template engine: what looks like a template in a file's content is content.
            options["tree"] = tree(options.pop("src"))
        elif self.kind == "source":
            src = options.pop("src")
            options["upload"] = None
            if src is not None:
                checksum = digest(src)
                options["checksum"] = "sha256:" + checksum
                self.uploads[checksum] = src
        elif self.kind == "languages":
            options["uploads"] = {}
            for pack in options["packs"]:
                src = pack.pop("src")
                pack["uploaded"] = src is not None
                if src is not None:
                    self.uploads[pack["checksum"].partition(":")[2]] = src
        self.options = options

    def give(self, digest, path):
        """Tells where a file of the control plane is on the node."""
        if self.kind == "source":
            self.options["upload"] = path
        else:
            self.options["uploads"][digest] = path

    def wire(self):
        return {"kind": self.kind, "options": self.options}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        options = checked("converge", OPTIONS, plain(self._task.args))
        steps = [Step(entry) for entry in options["steps"]]
        self.cache = os.path.join(options["state_dir"], "cache")
        self.request = {
            "program": "converge",
            "fence": claim(task_vars),
            "check_mode": self._task.check_mode,
            "diff": self._task.diff,
            "record": os.path.join(options["state_dir"], "fence"),
            "lock": os.path.join(options["run_dir"], "fence.lock"),
            "timeout": options["lock_timeout"],
        }
        self.report = Report(self._task, task_vars["inventory_hostname"])
        return self.report.outcome(self.converge(steps, task_vars))

    def converge(self, steps, task_vars):
        """What went wrong besides a step, or nothing."""
        # What the first step has to be given, once it is known to differ: then it can be carried out without another look.
        needs = None
        while steps:
            first = steps[0]
            perform = not first.uploads or needs is not None
            self.report.begin(first)
            try:
                results, beside, needs = self.carry_out(steps, perform, needs or [], task_vars)
            except upload.Unplaced as error:
                return failure(str(error))
            for step, result in zip(steps, results):
                if self.report.end(step, result, step is first):
                    return {}
            if beside:
                return beside
            if not results and (perform or self._task.check_mode):
                return failure("the node ended the run without a result")
            steps = steps[len(results) :]
        return {}

    def carry_out(self, steps, perform, needs, task_vars):
        """The results of the first steps, what went wrong beside them or nothing, and what the next one needs."""
        uploaded = []
        try:
            for digest in dict.fromkeys(needs):
                if digest in steps[0].uploads:
                    uploaded.append(upload.place(self._connection, steps[0].uploads[digest], self.cache))
                    steps[0].give(digest, uploaded[-1])
            request = dict(self.request, steps=[step.wire() for step in steps], perform=perform)
            kinds = [step.kind for step in steps]
            answer = execute(self, request, task_vars, lambda output: answers.converge(output, kinds))
        finally:
            for path in uploaded:
                upload.remove(self._connection, path)
        return answer.pop("results", []), answer, answer.pop("needs", [])


def failure(message):
    return {"failed": True, "changed": False, "msg": message}


class Report:
    """Tells each step as it ends, as if it were a task, and keeps what the task itself returns."""

    def __init__(self, task, host):
        self.task = task
        self.host = host
        # The descriptor is inherited: this process is a child of the one that tells about the play.
        self.events = Events()
        self.steps = []
        self.diffs = []

    def begin(self, step):
        self.events.send({"event": "task_start", "task": step.name, "uuid": self.task._uuid, **self.role()})

    def end(self, step, result, has_begun):
        """Whether the step failed."""
        if not has_begun:
            self.begin(step)
        status = "failed" if result.get("failed") else "changed" if result.get("changed") else "ok"
        action = "pressluft.host.%s" % step.kind
        event = {"event": "task", "task": step.name, "uuid": self.task._uuid, "action": action, "host": self.host}
        event.update(status=status, seconds=result.get("seconds", 0.0))
        if not self.task.no_log:
            self.events.warnings(result, step.name, self.host)
            event.update(details_of(action, result, status))
        self.events.send(event)
        self.diffs += result.pop("diff", [])
        self.steps.append(dict(result, name=step.name, kind=step.kind, status=status))
        return status == "failed"

    def role(self):
        return {} if self.task._role is None else {"role": self.task._role.get_name()}

    def outcome(self, beside):
        """The result of the task: that of its steps, and what went wrong beside them."""
        outcome = dict(beside, changed=any(step["status"] == "changed" for step in self.steps), steps=self.steps)
        if self.diffs:
            # Whoever shows them compares them, which takes the longer the more there is.
            outcome["diff"] = fitting(self.diffs, DIFFS_LIMIT)
        failed = [step for step in self.steps if step["status"] == "failed"]
        if failed:
            outcome.update(failed=True, msg="%s: %s" % (failed[0]["name"], failed[0].get("msg", "failed")))
        # Steps that were told are not told again with the task.
        outcome["reported"] = bool(self.steps) and not beside.get("failed")
        warnings = [warning for step in self.steps for warning in step.get("warnings") or []]
        if warnings:
            outcome["warnings"] = warnings
        return outcome


def claim(task_vars):
    """What the node's fence asks for: the control plane, the job and its token."""
    job = (task_vars.get("pressluft") or {}).get("job") or {}
    wanted = {"control_plane": job.get("control_plane"), "token": job.get("token"), "job": job.get("id")}
    return dict(plain(wanted), name=os.uname().nodename)


def tree(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError) as error:
        raise AnsibleActionFail("cannot read the tree `%s`: %s" % (path, error))


def digest(path):
    try:
        with open(path, "rb") as stream:
            digester = hashlib.sha256()
            for chunk in iter(lambda: stream.read(1 << 20), b""):
                digester.update(chunk)
            return digester.hexdigest()
    except OSError as error:
        raise AnsibleActionFail("cannot read `%s`: %s" % (path, error.strerror))
