"""What a node may answer: for each program of ours the fields of its answer, with their types and bounds.

Nothing else that a node says comes into a task's result, for Ansible acts on a result's keys: it adds hosts and groups,
sets variables and facts, and takes a task for skipped or unreachable. The text of our program goes with every request, so
an honest node knows exactly these fields. An answer with another one comes from something else, and is refused whole.

Words for people are cut where they are too long: a site has a part in them, and must not be able to make a job fail with
them. What the control plane acts on is refused where it is not as it must be.
"""

from __future__ import annotations

from ansible_collections.pressluft.host.plugins.module_utils.program import LARGEST, LONGEST_SIDE, MARK
from ansible_collections.pressluft.host.plugins.plugin_utils.shapes import (
    Refused,
    few,
    flag,
    line,
    listed,
    mapped,
    optional,
    parsed,
    record,
    seconds,
    text,
    whole,
    word,
)

# Why a task of ours failed, in words that the control plane acts on; the message is for people.
FAILED = "FAILED"
FENCED = "NODE_FENCED"
UNHEALTHY = "HEALTH_CHECK_FAILED"
REFUSED = "NODE_ANSWER_REFUSED"
SILENT = "NO_ANSWER"
UNTRANSLATED = "LANGUAGE_UNAVAILABLE"
# The end of what is shown of a stream of a node that gave no answer.
TAIL = 4096
MOST_ITEMS = 5000

MESSAGE = text(8 * 1024)
PATH = line(4096)
NAMES = few(line(300), 1000)
RETURN_CODE = whole(-(1 << 31), (1 << 31) - 1)
NUMBER = whole(0, 1 << 53)
FACT = word(r"[A-Za-z0-9._+~:-]{0,64}")
ADDRESS = word(r"[0-9A-Fa-f.:]{2,45}(%[A-Za-z0-9._-]{1,16})?")
ADDRESSES = listed(ADDRESS, 64)

DIFF = record(
    {},
    {
        "before_header": text(1024),
        "after_header": text(1024),
        "before": text(LONGEST_SIDE),
        "after": text(LONGEST_SIDE),
        "prepared": text(LONGEST_SIDE),
    },
)
DIFFS = listed(DIFF, MOST_ITEMS)
# Of every step, whatever its kind; `by_hand` is what it found and no job of ours puts back.
ANY_STEP = {
    "failed": flag,
    "msg": MESSAGE,
    "warnings": few(text(2048), 100),
    "by_hand": few(line(500), 100),
    "seconds": seconds,
    "diff": lambda value, place: DIFFS(value if isinstance(value, list) else [value], place),
}
CHANGES = {"changes": NAMES}
COMMAND = record({"name": line(300)}, {"rc": RETURN_CODE, "seconds": seconds, "predicted": flag})
# What each kind of step says besides.
STEPS = {
    "account": CHANGES,
    "boundaries": {},
    "cache": CHANGES,
    "clone": {"rewritten": record({"from": few(line(2048), 10), "to": line(2048), "rows": NUMBER})},
    # Whether a difference is only seen, because no job puts it back.
    "code": dict(CHANGES, only_seen=flag),
    "database": CHANGES,
    "languages": dict(CHANGES, code=word(UNTRANSLATED)),
    "packages": {"installed": NAMES, "held": NAMES, "released": NAMES},
    "release": {
        "release": word(r"([A-Za-z0-9][A-Za-z0-9._+-]{0,127})?"),
        "wordpress_version": word(r"[0-9A-Za-z.-]{1,32}"),
    },
    "services": {"enabled": NAMES, "started": NAMES},
    "source": CHANGES,
    "tree": {
        "items": listed(
            record(
                {
                    "path": PATH,
                    "kind": word("absent|directory|file|link"),
                    "state": word("changed|created|removed|restored"),
                    "what": listed(word("[a-z]{1,20}"), 10),
                }
            ),
            MOST_ITEMS,
        ),
        "ok": whole(0, 100_000),
        "validators": listed(COMMAND, 1000),
        "handlers": listed(COMMAND, 1000),
        # Of a run that failed.
        "validator": line(300),
        "handler": line(300),
        "argv": few(line(1024), 100),
        "rc": RETURN_CODE,
        "paths": few(PATH, 1000),
        "problems": few(line(2048), 1000),
        "stderr": text(8 * 1024),
    },
    "wordpress": dict(CHANGES, code=word(UNTRANSLATED)),
}
RESULTS = {kind: record({"changed": flag}, dict(ANY_STEP, **fields)) for kind, fields in STEPS.items()}

FACTS = record(
    {
        "distribution": FACT,
        "version": FACT,
        "codename": FACT,
        "architecture": FACT,
        "kernel": word(r"[A-Za-z0-9._+~:-]{1,128}"),
        "memory_bytes": NUMBER,
        "cpus": whole(1, 65_536),
        "machine_id": word(r"[0-9a-z]{0,64}"),
        "hostname": word(r"[A-Za-z0-9._-]{1,64}"),
        "python": FACT,
        "control_address": optional(ADDRESS),
        "ipv4": ADDRESSES,
        "ipv6": ADDRESSES,
        "virtualization": optional(FACT),
        "systemd": flag,
        "disk_free_bytes": NUMBER,
    }
)
FINDING = record({"check": line(100), "url": optional(line(2048)), "finding": line(2048)})
NEEDS = listed(word(r"[0-9a-f]{40,128}"), 4000)
FAILURE = {"failed": flag, "msg": MESSAGE}
ANSWERS = {
    "converge": record({}, dict(FAILURE, code=word(FENCED), results=lambda value, place: value, needs=NEEDS)),
    "facts": record({}, dict(FAILURE, changed=flag, facts=FACTS)),
    "health": record({}, dict(FAILURE, code=word(UNHEALTHY), changed=flag, findings=listed(FINDING, 1000), checks=mapped(seconds, 1000))),
}


def converge(output, kinds):
    """The results of the first steps of these kinds, with what the next one has to be given, or how the run failed.

    Raises `Refused`.
    """
    answer = answered("converge", output)
    if answer is None or answer.get("failed"):
        return answer
    results = answer.get("results")
    if not isinstance(results, list):
        raise Refused("it has no list of `results`")
    if len(results) > len(kinds):
        raise Refused("it has %d results for %d steps" % (len(results), len(kinds)))
    shaped = [RESULTS[kind](result, "a result of `%s`" % kind) for kind, result in zip(kinds, results)]
    return {"results": shaped, "needs": answer.get("needs", [])}


def facts(output):
    """What the node says about itself, as the result of a task.

    Raises `Refused`.
    """
    answer = answered("facts", output)
    if answer is None or answer.get("failed"):
        return answer
    if "facts" not in answer:
        raise Refused("it has no `facts`")
    return {"changed": False, "facts": answer["facts"]}


def health(output):
    """What was found of an environment, as the result of a task.

    Raises `Refused`.
    """
    answer = answered("health", output)
    if answer is None:
        return None
    if not answer.get("failed") and answer.get("findings") != []:
        raise Refused("it has not failed, and does not say that there are no findings")
    return dict({key: answer[key] for key in ("failed", "msg", "code", "findings") if key in answer}, changed=False)


def answered(program, output):
    """The fields of an answer in the bytes that a node printed, or None when it printed no whole one.

    What a login script or a library prints comes before the mark, and a program that was ended writes no last line.
    """
    _, mark, data = output.rpartition(MARK.encode("ascii"))
    if not mark or not data.endswith(b"\n"):
        return None
    if len(data) > LARGEST:
        raise Refused("it has %d bytes, and at most %d are read" % (len(data), LARGEST))
    answer = ANSWERS[program](parsed(data), "the answer")
    if answer.get("failed") and "msg" not in answer:
        raise Refused("it has failed without a `msg`")
    if answer.get("failed"):
        answer["changed"] = False
        answer.setdefault("code", FAILED)
        # What had been done until then is not known any more.
        answer.pop("results", None)
    return answer


def refusal(program, reason):
    """The result of a task whose answer was refused."""
    said = "the node's answer to `%s` is none of Pressluft's program: %s" % (program, reason)
    return {"failed": True, "changed": False, "code": REFUSED, "msg": said}


def silence(code, output, errors):
    """The result of a task that the node gave no answer to."""
    return {
        "failed": True,
        "changed": False,
        "code": SILENT,
        "rc": code if type(code) is int else 1,
        "module_stdout": end_of(output),
        "module_stderr": end_of(errors),
        "msg": "the node's Python interpreter gave no answer; what it said is below",
    }


def end_of(output):
    return output[-TAIL:].decode("utf-8", "replace")
