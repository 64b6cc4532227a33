"""Values as WordPress keeps them in its tables."""

from __future__ import annotations


def stored(value):
    """The text in `option_value` for a value of a document: scalars as text, the rest serialised."""
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, str):
        return value
    return serialized(value)


def number(value):
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def serialized(value):
    """PHP's own serialisation; lengths count bytes."""
    if value is None:
        return "N;"
    if isinstance(value, bool):
        return "b:%d;" % value
    if isinstance(value, int):
        return "i:%d;" % value
    if isinstance(value, float):
        return "d:%r;" % value
    if isinstance(value, str):
        return 's:%d:"%s";' % (len(value.encode("utf-8", "surrogateescape")), value)
    pairs = list(enumerate(value)) if isinstance(value, list) else list(value.items())
    inner = "".join(serialized(key_of(key)) + serialized(item) for key, item in pairs)
    return "a:%d:{%s}" % (len(pairs), inner)


def key_of(key):
    """PHP keeps decimal numbers as integers when they are keys."""
    text = str(key)
    digits = text[1:] if text.startswith("-") else text
    plain = digits.isdigit() and (digits == "0" or not digits.startswith("0")) and text != "-0"
    return int(text) if plain and len(digits) < 19 else text
