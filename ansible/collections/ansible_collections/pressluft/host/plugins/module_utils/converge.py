"""Carrying out steps, as many in one remote execution as there is nothing to do for.

The first step is carried out; those behind it are only looked at. Where one of them would change something, the run
ends in front of it, and the control plane begins the next one there, so that it knows what is going on. A node that is
as it should be costs one execution, and each change one more at most.
"""

from __future__ import annotations

import importlib
import time

from ansible_collections.pressluft.host.plugins.module_utils import fence
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, Guard

STEPS = "ansible_collections.pressluft.host.plugins.module_utils.steps."
LISTENER = 1


class Run:
    """How a step is carried out."""

    def __init__(self, check_mode, want_diff):
        self.check_mode = check_mode
        self.want_diff = want_diff
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


def serve(request, listener):
    """The results of the steps up to the first one that a run of its own has to carry out."""
    check_mode = request["check_mode"]
    where = {key: request[key] for key in ("record", "lock", "timeout") if key in request}
    try:
        with fence.held(request.get("fence"), check_mode, listener=listener, **where) as fd:
            Guard.fd = fd
            try:
                return carry_out(request["steps"], request["perform"], check_mode, request["diff"], listener)
            finally:
                Guard.fd = None
    except Failed as error:
        return dict(error.details, failed=True, msg=str(error), results=[])
    except OSError as error:
        # Each step answers for its own; this one is of the fence.
        place = error.filename or where.get("record", fence.RECORD)
        return {"failed": True, "msg": "cannot keep the node's fence `%s`: %s" % (place, error.strerror), "results": []}


def carry_out(steps, perform, check_mode, want_diff, listener):
    """The results, and the digests of the files that the step behind them has to be given."""
    results = []
    for index, step in enumerate(steps):
        if not check_mode and fence.is_abandoned(listener):
            break
        looks = check_mode or index > 0 or not perform
        result = attempt(step, Run(looks, want_diff))
        needs = result.pop("needs", [])
        if looks and not check_mode and (result["changed"] or "failed" in result):
            return {"results": results, "needs": needs}
        results.append(result)
        if "failed" in result:
            break
    return {"results": results}


def attempt(step, run):
    """The result of one step, with how long it took."""
    begin = time.monotonic()
    module = importlib.import_module(STEPS + step["kind"])
    try:
        result = module.carry_out(step["options"], run)
    except Failed as error:
        result = dict(error.details, failed=True, msg=str(error))
    except (OSError, KeyError, ValueError) as error:
        # These say what was missing or wrong; the message of another error could hold anything.
        result = {"failed": True, "msg": "%s: %s" % (type(error).__name__, error)}
    result.setdefault("changed", False)
    if run.warnings:
        result["warnings"] = run.warnings
    result["seconds"] = round(time.monotonic() - begin, 3)
    return result
