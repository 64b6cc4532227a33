"""What an event says about the result of a task, and where it goes."""

from __future__ import annotations

import json
import os
import select
import stat

from ansible_collections.pressluft.host.plugins.module_utils.event_line import cut, line, tail, text

MESSAGE_LIMIT = 8 * 1024
OUTPUT_LIMIT = 4 * 1024
DIFF_SIDE_LIMIT = 16 * 1024
BY_HAND_LIMIT = 16 * 1024
OURS = "pressluft.host."
OUR_RESULT_KEYS = (
    "code",
    "facts",
    "findings",
    "handlers",
    "items",
    "ok",
    "only_seen",
    "release",
    "validators",
    "wordpress_version",
)
MOST_WARNINGS = 100
HIDDEN = "the output has been hidden"


class Events:
    """The descriptor that events go to; nobody listening is no reason to stop."""

    def __init__(self):
        self.fd = _usable_fd()

    def send(self, event):
        if self.fd is None:
            return
        view = memoryview(line(event))
        while view:
            try:
                view = view[os.write(self.fd, view) :]
            except BlockingIOError:
                select.select([], [self.fd], [])
            except OSError:
                self.fd = None
                return

    def warnings(self, outcome, task, host):
        """Tells the warnings that came with a result."""
        for warning in _as_list(outcome.get("warnings"))[:MOST_WARNINGS]:
            self.send({"event": "warning", "task": task, "host": host, "msg": cut(text(warning), MESSAGE_LIMIT)})


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


def details_of(action, outcome, status):
    """What the result of one task adds to its event."""
    details = {}
    bad = status in ("failed", "unreachable", "ignored")
    results = outcome.get("results")
    if action.startswith(OURS):
        ours = {key: outcome[key] for key in OUR_RESULT_KEYS if key in outcome}
        if outcome.get("by_hand"):
            ours["by_hand"] = first_ones(outcome["by_hand"], BY_HAND_LIMIT)
        if ours:
            details["result"] = ours
    messages = []
    if bad or status == "skipped" or action.startswith(OURS):
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
    if type(outcome.get("rc")) is int and abs(outcome["rc"]) < 1 << 31:
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


def first_ones(lines, limit):
    """The first lines that have no more than `limit` bytes together, and how many more there were."""
    kept = []
    for entry in lines:
        limit -= len(text(entry).encode("utf-8", "replace"))
        if limit < 0:
            break
        kept.append(text(entry))
    if len(kept) < len(lines):
        kept.append("[%d more]" % (len(lines) - len(kept)))
    return kept


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
