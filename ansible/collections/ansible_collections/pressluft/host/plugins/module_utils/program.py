"""What runs on the node: one request in, one answer out."""

from __future__ import annotations

import importlib
import json
import os
import sys

PACKAGE = "ansible_collections.pressluft.host.plugins.module_utils."
# In front of the answer; what a login script or a library prints comes before it.
MARK = "\x1e"


def main(request):
    """Serves a request and prints the answer. Programs may print what they like: it goes to standard error."""
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    try:
        answer = importlib.import_module(PACKAGE + request["program"]).serve(request, answer_fd)
    except Exception as error:
        # The text of an unexpected error may quote what it was about; its place is enough to look for it.
        answer = {"failed": True, "msg": "%s in %s" % (type(error).__name__, _place(error))}
    text = json.dumps(answer, default=str)
    data = (MARK + text + "\n").encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(answer_fd, data) :]
    sys.stderr.flush()
    # Nothing is left to do, and tearing an interpreter down takes a while.
    os._exit(1 if answer.get("failed") else 0)


def _place(error):
    places, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append("%s:%d" % (os.path.basename(code.co_filename), trace.tb_lineno))
        trace = trace.tb_next
    return " < ".join(reversed(places[1:][-6:]))
