"""Shapes of values that a node may answer with: each builds a value anew, with a type and an end, or refuses.

A shape is a function of a parsed value and of the words for its place in the answer.
"""

from __future__ import annotations

import json
import math
import re

# Control characters, marks that reorder a line, and what ends a line somewhere.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
CUT = "[cut]"
SHOWN = 60
NAMED = 3


class Refused(Exception):
    """An answer is none of a program of ours; the message says what of it, in words that may be shown."""


def parsed(data):
    """JSON in bytes as a value: no numbers without an end, no key twice, nothing that nests without an end."""
    try:
        return json.loads(
            data.decode("utf-8"),
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_short,
            object_pairs_hook=_unique,
        )
    except UnicodeDecodeError:
        raise Refused("it is not UTF-8")
    except RecursionError:
        raise Refused("it is nested too deeply")
    except ValueError:
        raise Refused("it is not JSON")


def _no_number(word):
    raise Refused("it has `%s`, which is no number" % word)


def _finite(word):
    number = float(word)
    if not math.isfinite(number):
        raise Refused("it has a number that is too large")
    return number


def _short(word):
    if len(word) > 20:
        raise Refused("it has a number that is too large")
    return int(word)


def _unique(pairs):
    found = {}
    for key, value in pairs:
        if key in found:
            raise Refused("it has the key `%s` twice" % shown(key))
        found[key] = value
    return found


def shown(value):
    """What a node said, short and without anything that moves a cursor."""
    written = json.dumps(value, default=str)
    written = written[1:-1] if isinstance(value, str) else written
    return written if len(written) <= SHOWN else written[:SHOWN] + "…"


def _of(kind, value, place):
    # A bool is an int for `isinstance`.
    if type(value) is not kind:
        words = {str: "text", bool: "true or false", int: "a whole number", list: "a list", dict: "a mapping"}
        raise Refused("%s is not %s" % (place, words[kind]))
    return value


def text(limit):
    """Words for people, over several lines perhaps; their end is cut off."""

    def shape(value, place):
        value = _of(str, value, place)
        if len(value) > limit:
            value = "%s\n%s" % (value[:limit], CUT)
        # Half of a character that needs two is none that can be written anywhere.
        return value.encode("utf-8", "replace").decode("utf-8")

    return shape


def line(limit):
    """Words for people in one line, without what is not seen."""

    def shape(value, place):
        value = UNSEEN.sub("?", _of(str, value, place))
        if len(value) > limit:
            value = "%s %s" % (value[:limit], CUT)
        return value.encode("utf-8", "replace").decode("utf-8")

    return shape


def word(pattern):
    """Text of a strict pattern."""
    wanted = re.compile(pattern, re.ASCII)

    def shape(value, place):
        if wanted.fullmatch(_of(str, value, place)) is None:
            raise Refused("%s is `%s`, which it cannot be" % (place, shown(value)))
        return str(value)

    return shape


def whole(lowest, highest):
    def shape(value, place):
        if not lowest <= _of(int, value, place) <= highest:
            raise Refused("%s is %s, which it cannot be" % (place, value))
        return value

    return shape


def flag(value, place):
    return _of(bool, value, place)


def seconds(value, place):
    """A length of time; a year and more is none."""
    if type(value) not in (int, float) or not 0 <= value < 1e8:
        raise Refused("%s is no length of time" % place)
    return float(value)


def optional(shape):
    return lambda value, place: None if value is None else shape(value, place)


def listed(shape, most):
    def whole_list(value, place):
        if len(_of(list, value, place)) > most:
            raise Refused("%s has more than %d entries" % (place, most))
        return [shape(entry, "an entry of %s" % place) for entry in value]

    return whole_list


def few(shape, most):
    """Of a list of words for people the first ones, and how many more there were."""

    def first_ones(value, place):
        kept = [shape(entry, "an entry of %s" % place) for entry in _of(list, value, place)[:most]]
        if len(value) > most:
            kept.append("[%d more]" % (len(value) - most))
        return kept

    return first_ones


def mapped(shape, most, longest=2048):
    """A mapping whose keys are words for people."""
    key_shape = line(longest)

    def whole_mapping(value, place):
        if len(_of(dict, value, place)) > most:
            raise Refused("%s has more than %d entries" % (place, most))
        return {key_shape(key, place): shape(entry, "an entry of %s" % place) for key, entry in value.items()}

    return whole_mapping


def record(required, optional_ones=None):
    """A mapping with these keys, each of its shape, and no other key."""
    fields = dict(required, **(optional_ones or {}))

    def whole_record(value, place):
        others = [key for key in _of(dict, value, place) if key not in fields]
        if others:
            named = ", ".join("`%s`" % shown(key) for key in others[:NAMED])
            raise Refused("%s may not have %s%s" % (place, named, " and more" if others[NAMED:] else ""))
        for key in required:
            if key not in value:
                raise Refused("%s has no `%s`" % (place, key))
        return {key: fields[key](entry, "`%s`" % key) for key, entry in value.items()}

    return whole_record
