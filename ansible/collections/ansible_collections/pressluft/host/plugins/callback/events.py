"""Tells Pressluft what happens in a play, as JSON lines on an inherited file descriptor."""

from __future__ import annotations

DOCUMENTATION = r"""
name: events
type: notification
short_description: Write one JSON object per line for each play, task, warning and the statistics
version_added: "0.1.0"
description:
  - Writes to the file descriptor whose number is in the environment variable C(PRESSLUFT_EVENTS_FD), or to 3
    when something writable was inherited there.
  - Arguments of modules are never written. Results hidden by C(no_log) have only their status.
  - A line has at most 64 KiB; what was cut off is said in its place.
  - A closed descriptor ends the output and not the play.
author:
  - The Pressluft authors (@pressluft)
"""

import json
import os
import select
import stat
import time

from ansible.plugins.callback import CallbackBase
from ansible_collections.pressluft.host.plugins.module_utils.event_line import cut, line, tail, text

MESSAGE_LIMIT = 8 * 1024
OUTPUT_LIMIT = 4 * 1024
DIFF_SIDE_LIMIT = 16 * 1024
OUR_RESULT_KEYS = ("pressluft", "facts", "items", "ok", "validators", "handlers", "release", "findings")
HIDDEN = "the output has been hidden"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "pressluft.host.events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._fd = _usable_fd()
        self._starts = {}

    def v2_playbook_on_play_start(self, play):
        self._send({"event": "play_start", "play": play.get_name(), "check": bool(getattr(play, "check_mode", False))})

    def v2_playbook_on_no_hosts_matched(self):
        self._send({"event": "warning", "msg": "no hosts matched"})

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._starts[task._uuid] = time.monotonic()
        event = {"event": "task_start", "task": _name(task), "uuid": task._uuid}
        if task._role is not None:
            event["role"] = task._role.get_name()
        self._send(event)

    def v2_playbook_on_handler_task_start(self, task):
        self.v2_playbook_on_task_start(task, False)

    def v2_playbook_on_cleanup_task_start(self, task):
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_ok(self, result):
        self._task(result, "changed" if result._result.get("changed") else "ok")

    def v2_runner_on_skipped(self, result):
        self._task(result, "skipped")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._task(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result):
        self._task(result, "ignored" if getattr(result._task, "ignore_unreachable", False) else "unreachable")

    def v2_playbook_on_stats(self, stats):
        names = ("ok", "changed", "failures", "skipped", "ignored", "rescued")
        hosts = {}
        for host in sorted(stats.processed):
            counts = {name: getattr(stats, name).get(host, 0) for name in names}
            counts["unreachable"] = stats.dark.get(host, 0)
            hosts[host] = counts
        self._send({"event": "stats", "hosts": hosts})

    def _task(self, result, status):
        task = result._task
        host = result._host.get_name()
        outcome = result._result
        begin = self._starts.get(task._uuid, time.monotonic())
        event = {
            "event": "task",
            "task": _name(task),
            "uuid": task._uuid,
            "action": getattr(task, "resolved_action", None) or task.action,
            "host": host,
            "status": status,
            "seconds": round(time.monotonic() - begin, 3),
        }
        if _hidden(task, outcome):
            if status != "skipped":
                event["msg"] = HIDDEN
            self._send(event)
            return
        for warning in outcome.get("warnings") or []:
            self._send(
                {"event": "warning", "task": _name(task), "host": host, "msg": cut(text(warning), MESSAGE_LIMIT)}
            )
        event.update(_details(event["action"], outcome, status))
        self._send(event)

    def _send(self, event):
        if self._fd is None:
            return
        view = memoryview(line(event))
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                select.select([], [self._fd], [])
            except OSError:
                # Nobody listens any more; the play goes on.
                self._fd = None
                return


def _usable_fd():
    """The number of the descriptor to write to, or None.

    Without the variable, 3 is taken only when it was inherited: Python marks
    what it opens itself as not inheritable.
    """
    named = os.environ.get("PRESSLUFT_EVENTS_FD")
    try:
        fd = int(named) if named else 3
        status = os.fstat(fd)
        kind_fits = stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode) or stat.S_ISREG(status.st_mode)
        if not named and not (os.get_inheritable(fd) and kind_fits):
            return None
        # ssh and its master process must not keep the reader waiting for the end.
        os.set_inheritable(fd, False)
    except (ValueError, OSError):
        return None
    return fd


def _name(task):
    return text(task.name or task.get_name())


def _hidden(task, outcome):
    return task.no_log is True or bool(outcome.get("_ansible_no_log")) or "censored" in outcome


def _details(action, outcome, status):
    """What the result of one task adds to its event."""
    details = {}
    bad = status in ("failed", "unreachable", "ignored")
    results = outcome.get("results")
    if "pressluft" in outcome or action.startswith("pressluft.host."):
        ours = {key: outcome[key] for key in OUR_RESULT_KEYS if key in outcome}
        if not action.startswith("pressluft.host."):
            ours = {"pressluft": outcome["pressluft"]}
        if ours:
            details["result"] = ours
    messages = []
    if bad or status == "skipped" or action.startswith("pressluft.host."):
        messages.append(outcome.get("msg") or outcome.get("skip_reason") or outcome.get("skipped_reason"))
    diffs = _as_list(outcome.get("diff"))
    if isinstance(results, list):
        items = [entry for entry in results if isinstance(entry, dict)]
        shown = [entry for entry in items if not entry.get("_ansible_no_log") and "censored" not in entry]
        failed = [entry for entry in items if entry.get("failed") or entry.get("unreachable")]
        details["loop"] = {"items": len(results), "failed": len(failed)}
        messages += [entry.get("msg") if entry in shown else HIDDEN for entry in failed]
        diffs += [diff for entry in shown for diff in _as_list(entry.get("diff"))]
        if bad and len(failed) == 1 and failed[0] in shown:
            outcome = failed[0]
    message = "\n".join(text(part) for part in messages if part)
    if message:
        details["msg"] = cut(message, MESSAGE_LIMIT)
    if isinstance(outcome.get("rc"), int):
        details["rc"] = outcome["rc"]
    if bad:
        error = outcome.get("stderr") or outcome.get("module_stderr")
        output = outcome.get("stdout") or outcome.get("module_stdout")
        if error:
            details["stderr"] = tail(text(error), OUTPUT_LIMIT)
        elif output:
            details["stdout"] = tail(text(output), OUTPUT_LIMIT)
    shown_diffs = [_bounded_diff(diff) for diff in diffs if isinstance(diff, dict) and diff]
    if shown_diffs:
        details["diff"] = shown_diffs
    return details


def _as_list(value):
    if not value:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _bounded_diff(diff):
    bounded = {}
    for key in ("before_header", "after_header"):
        if diff.get(key):
            bounded[key] = cut(text(diff[key]), 1024)
    for key in ("before", "after", "prepared"):
        if key in diff:
            value = diff[key]
            if isinstance(value, (dict, list)):
                value = json.dumps(value, indent=2, sort_keys=True, default=str, ensure_ascii=False) + "\n"
            bounded[key] = cut(text(value), DIFF_SIDE_LIMIT)
    return bounded
