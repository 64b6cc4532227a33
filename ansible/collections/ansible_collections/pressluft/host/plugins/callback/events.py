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

import time

from ansible.plugins.callback import CallbackBase
from ansible_collections.pressluft.host.plugins.module_utils.event_line import text
from ansible_collections.pressluft.host.plugins.plugin_utils.events import HIDDEN, Events, details_of

CONVERGE = "pressluft.host.converge"


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "pressluft.host.events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._events = Events()
        self._starts = {}
        self._hosts = frozenset()

    def v2_playbook_on_play_start(self, play):
        self._hosts = self._hosts or _hosts_of(play)
        self._events.send({"event": "play_start", "play": play.get_name(), "check": bool(getattr(play, "check_mode", False))})

    def v2_playbook_on_no_hosts_matched(self):
        self._events.send({"event": "warning", "msg": "no hosts matched"})

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._starts[task._uuid] = time.monotonic()
        event = {"event": "task_start", "task": _name(task), "uuid": task._uuid}
        if task._role is not None:
            event["role"] = task._role.get_name()
        self._events.send(event)

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
        # Of the hosts of the inventory, and of none that a play has come to know.
        for host in sorted(self._hosts.intersection(stats.processed)):
            counts = {name: getattr(stats, name).get(host, 0) for name in names}
            counts["unreachable"] = stats.dark.get(host, 0)
            hosts[host] = counts
        self._events.send({"event": "stats", "hosts": hosts})

    def _task(self, result, status):
        task = result._task
        host = result._host.get_name()
        outcome = result._result
        if outcome.get("reported") and task.action == CONVERGE:
            # Its steps were told one by one, as they ended.
            return
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
            self._events.send(event)
            return
        self._events.warnings(outcome, _name(task), host)
        event.update(details_of(event["action"], outcome, status))
        self._events.send(event)


def _hosts_of(play):
    manager = play.get_variable_manager()
    return frozenset(host.get_name() for host in manager._inventory.get_hosts())


def _name(task):
    return text(task.name or task.get_name())


def _hidden(task, outcome):
    return task.no_log is True or bool(outcome.get("_ansible_no_log")) or "censored" in outcome
