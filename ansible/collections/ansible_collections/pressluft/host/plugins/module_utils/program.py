"""What runs on the node: one request in, one answer out."""

from __future__ import annotations

import importlib
import json
import os
import sys

PACKAGE = "ansible_collections.pressluft.host.plugins.module_utils."
# In front of the answer; what a login script or a library prints comes before it.
MARK = "\x1e"
# An answer that is longer is refused, so its diffs give way first.
LARGEST = 4 << 20
LONGEST_SIDE = 16 * 1024


def main(request):
    """Serves a request and prints the answer. Programs may print what they like: it goes to standard error."""
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    try:
        answer = importlib.import_module(PACKAGE + request["program"]).serve(request, answer_fd)
    except Exception as error:
        # The text of an unexpected error may quote what it was about; its place is enough to look for it.
        answer = {"failed": True, "msg": "%s in %s" % (type(error).__name__, _place(error))}
    data = (MARK + fitting(answer) + "\n").encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(answer_fd, data) :]
    sys.stderr.flush()
    # Nothing is left to do, and tearing an interpreter down takes a while.
    os._exit(1 if answer.get("failed") else 0)


def fitting(answer):
    """The answer as JSON; its diffs are cut, and then left out, where it would be too long."""
    text = json.dumps(answer, default=str)
    for longest in (LONGEST_SIDE, 0):
        if len(text) < LARGEST:
            break
        for result in answer.get("results", ()):
            if "diff" in result:
                result["diff"] = [_cut(diff, longest) for diff in _listed(result["diff"]) if longest]
        text = json.dumps(answer, default=str)
    return text


def _listed(diff):
    return diff if isinstance(diff, list) else [diff]


def _cut(diff, longest):
    # One more than is shown, so that the control plane says that there was more.
    return {key: side[: longest + 1] for key, side in diff.items()}


def _place(error):
    places, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append("%s:%d" % (os.path.basename(code.co_filename), trace.tb_lineno))
        trace = trace.tb_next
    return " < ".join(reversed(places[1:][-6:]))
