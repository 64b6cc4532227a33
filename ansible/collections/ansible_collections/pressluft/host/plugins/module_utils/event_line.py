"""One event as one line: bounded, valid UTF-8, without control characters."""

from __future__ import annotations

import json

LINE_LIMIT = 64 * 1024
# What the control plane acts on does not give way to what is shown.
ACTED_ON = ("by_hand", "facts", "release")
# JSON escapes only the control characters below 0x20; these would reach a terminal too.
CONTROLS = {code: "\\u%04x" % code for code in list(range(0x7F, 0xA0)) + [0x2028, 0x2029]}


def line(event):
    """One event as a line of at most 64 KiB; the least important parts give way first."""
    encoded = _encode(event)
    if len(encoded) <= LINE_LIMIT:
        return encoded
    event = dict(event)
    diffs = event.pop("diff", None)
    if len(_encode(event)) > LINE_LIMIT and "result" in event:
        event["result"] = _shrunk(event["result"])
    if len(_encode(event)) > LINE_LIMIT and "result" in event:
        event["result"] = {key: value for key, value in event["result"].items() if key in ACTED_ON}
        event["truncated"] = True
    for key in ("msg", "stderr", "stdout", "task", "play"):
        # Escapes can make a text six times as long.
        if key in event and len(_encode(event)) > LINE_LIMIT:
            event[key] = cut(event[key], 1024)
    if diffs:
        event["diff"] = fitting(diffs, LINE_LIMIT - len(_encode(event)))
    return _encode(event)


def text(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if type(value) is str else str(value)


def cut(text, limit):
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return text
    kept = encoded[:limit].decode("utf-8", "ignore")
    return "%s\n[%d bytes cut]" % (kept, len(encoded) - len(kept.encode("utf-8")))


def tail(text, limit):
    return text.encode("utf-8", "replace")[-limit:].decode("utf-8", "ignore")


def _shrunk(result):
    """Lists of a result give way to their first entries and the number of the others."""
    shrunk = {}
    for key, value in result.items():
        if isinstance(value, list) and len(value) > 100:
            shrunk[key] = value[:100]
            shrunk["%s_cut" % key] = len(value) - 100
        else:
            shrunk[key] = value
    return shrunk


def fitting(diffs, room):
    """The first diffs that fit, and in the place of the others how many they are."""
    marker = {"before_header": "", "after_header": "", "before": "", "after": "[%d more diffs cut]\n"}
    room -= len(_encode(marker)) + 64
    kept = []
    for diff in diffs:
        size = len(_encode(diff)) + 2
        if size > room:
            break
        room -= size
        kept.append(diff)
    if len(kept) < len(diffs):
        kept.append(dict(marker, after=marker["after"] % (len(diffs) - len(kept))))
    return kept


def _encode(value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.translate(CONTROLS).encode("utf-8", "replace") + b"\n"
