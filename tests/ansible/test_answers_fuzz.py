"""A hundred thousand answers that nobody expects: each is refused, or taken as fields of the allow-list."""

import copy
import json
import math
import random
import sys
import time
import unittest

from support import MARK
from test_answers import ATTACKS, HONEST, KINDS, read

from ansible_collections.pressluft.host.plugins.module_utils.event_line import LINE_LIMIT, line
from ansible_collections.pressluft.host.plugins.plugin_utils.events import details_of
from ansible_collections.pressluft.host.plugins.plugin_utils.shapes import Refused

ANSWERS = 100_000
SEED = 20261128
# Every key that may be in what the control plane takes, wherever it is.
KEYS = set(
    "after after_header architecture argv before before_header by_hand changed changes check code codename control_address "
    "cpus diff disk_free_bytes distribution enabled facts failed finding findings from handler handlers held hostname "
    "installed ipv4 ipv6 items kernel kind machine_id memory_bytes msg name needs ok only_seen path paths predicted prepared problems "
    "python rc release results rewritten rows seconds started state stderr systemd to url validator validators version "
    "virtualization warnings what wordpress_version".split()
)
ANY = {"changed", "code", "failed", "msg"}
TOP = {"facts": ANY | {"facts"}, "health": ANY | {"findings"}, "converge": ANY | {"needs", "results"}}
ODD = [
    None, True, False, 0, -1, 1.5, 1e308, -0.0, 1 << 63, -(1 << 63), 10**30, "", "x", "x" * 20_000, "\x00", "\x1b[2J",
    "\u202e", "\ud800", "{{ 7 * 7 }}", "{% for x in y %}", "../../etc/passwd", "a\nb", "\x1e", "\U0010ffff" * 50, [], {}, [[]],
    [{}], {"": {}}, [None] * 200, {"a": {"a": {"a": {"a": {}}}}}, "!unsafe x", {"__ansible_unsafe": "x"},
]  # fmt: skip
TOKENS = [b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\u0000", b"\\", b"NaN", b"1e999", b"null"]
TOKENS += [b"\xff", b"\x1e", b"\n", b"9" * 400]
# What running code, or reaching for anything outside of this process, would come with.
DOINGS = ("compile", "exec", "import", "open", "os.", "shutil.", "socket.", "subprocess.", "tempfile.", "pickle.")


class Watch:
    """Notes what the interpreter is asked to do while it is on."""

    def __init__(self):
        self.is_on = False
        self.seen = []
        sys.addaudithook(self.note)

    def note(self, event, arguments):
        if self.is_on and event.startswith(DOINGS):
            self.seen.append((event, repr(arguments)[:200]))


def places(value, found):
    """Every mapping and list of a value."""
    if isinstance(value, (dict, list)):
        found.append(value)
        for entry in value.values() if isinstance(value, dict) else value:
            places(entry, found)
    return found


def odd(dice):
    return copy.deepcopy(dice.choice(ODD))


def mutate(dice, value):
    """Changes something, somewhere."""
    place = dice.choice(places(value, []))
    what = dice.random()
    if isinstance(place, dict):
        if what < 0.3:
            key = dice.choice(list(ATTACKS))
            place[key] = dice.choice([copy.deepcopy(ATTACKS[key]), odd(dice)])
        elif what < 0.4:
            place[dice.choice(sorted(KEYS) + ["", "\x1b", "k" * 300])] = odd(dice)
        elif place:
            key = dice.choice(list(place))
            if what < 0.5:
                del place[key]
            else:
                place[key] = dice.choice([odd(dice), [copy.deepcopy(place[key]) for _ in range(dice.choice([2, 2, 2, 150]))]])
    elif what < 0.5 and place:
        place[dice.randrange(len(place))] = odd(dice)
    else:
        place.append(odd(dice))


def garble(dice, data):
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(data) + 1)
        what = dice.random()
        if what < 0.5:
            data = data[:at] + dice.choice(TOKENS) + data[at:]
        elif what < 0.8:
            data = data[:at] + data[at + dice.randrange(1, 40) :]
        else:
            data = data[:at] + dice.randbytes(dice.randrange(1, 20)) + data[at:]
    return data


def generate(dice):
    """A program, and the bytes that a node answers it with."""
    program = dice.choice(list(HONEST))
    # The kinds of answers are not equally long, and neither the most honest nor the wildest are the interesting ones.
    kind = dice.random()
    if kind < 0.05:
        return program, dice.randbytes(dice.randrange(300))
    answer = json.loads(json.dumps(dice.choice([HONEST[program]] * 9 + list(HONEST.values()))))
    if program == "converge" and "results" in answer:
        answer["results"] = answer["results"][: dice.randrange(len(KINDS) + 1)]
    if kind < 0.75:
        for _ in range(dice.randrange(4)):
            mutate(dice, answer)
    data = json.dumps(answer).encode()
    if kind > 0.7:
        data = garble(dice, data)
    return program, MARK.encode() + data + b"\n"


class Fuzz(unittest.TestCase):
    def check(self, value, depth=0):
        """Whether a value is plain, bounded, and has keys of the allow-list only; its size."""
        self.assertLess(depth, 8)
        if value is None or type(value) is bool:
            return 1
        if type(value) is int:
            self.assertLessEqual(abs(value), 1 << 53)
            return 1
        if type(value) is float:
            self.assertTrue(math.isfinite(value))
            return 1
        if type(value) is str:
            self.assertLessEqual(len(value), 17_000)
            value.encode("utf-8")
            return len(value)
        if type(value) is list:
            self.assertLessEqual(len(value), 5000)
            return 1 + sum(self.check(entry, depth + 1) for entry in value)
        self.assertIs(type(value), dict)
        self.assertLessEqual(set(value), KEYS)
        return 1 + sum(self.check(entry, depth + 1) for entry in value.values())

    def take(self, program, data):
        """Goes the way of an answer as far as the event of its task."""
        answer = read(program, data)
        if answer is None:
            return "silent"
        self.check(answer)
        self.assertLessEqual(set(answer), TOP[program])
        results = answer.get("results", [answer])
        for kind, result in zip(KINDS if "results" in answer else [program], results):
            status = "failed" if result.get("failed") else "changed" if result.get("changed") else "ok"
            event = {"event": "task", "task": "a task", "host": "web-1", "status": status}
            event.update(details_of("pressluft.host.%s" % kind, result, status))
            self.assertLessEqual(len(line(event)), LINE_LIMIT)
        return "taken"

    def test_whatever_a_node_answers_nothing_comes_of_it(self):
        dice = random.Random(SEED)
        watch = Watch()
        counts = {"silent": 0, "taken": 0, "refused": 0}
        # What is imported when it is first needed is imported now.
        for program, answer in HONEST.items():
            self.take(program, (MARK + json.dumps(answer) + "\n").encode())
        begin = time.process_time()
        for number in range(ANSWERS):
            program, data = generate(dice)
            watch.is_on = True
            try:
                end = self.take(program, data)
            except Refused as reason:
                end = "refused"
                self.assertTrue(str(reason).isprintable() and len(str(reason)) < 400, reason)
            except Exception:
                print("seed %d, answer %d: %r" % (SEED, number, data[:2000]), file=sys.stderr)
                raise
            finally:
                watch.is_on = False
            counts[end] += 1
        self.assertEqual(watch.seen, [])
        # None of the three ways is out of reach, or the answers say little.
        for end, least in (("silent", 0.02), ("taken", 0.1), ("refused", 0.3)):
            self.assertGreater(counts[end], least * ANSWERS, counts)
        self.assertLess(time.process_time() - begin, 60)
