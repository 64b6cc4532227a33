"""What a page says about its site, found in one pass over its text however it was written."""

from __future__ import annotations

BROKEN = ("fatal error", "parse error", "uncaught", "error establishing a database connection")
INSTALLER = ("wp-admin/install.php", "wp-admin/setup-config.php")
SETUP = ('id="setup"', "id='setup'")
# What scripts say about errors of their own is no error of the page.
SILENT = ("script", "style")
SPACES = " \t\r\n\f"


def is_installer(text):
    """Whether a page, or an address, is that of WordPress's installation."""
    text = text.lower()
    return any(mark in text for mark in INSTALLER) or any(mark in tag for tag in form_tags(text) for mark in SETUP)


def form_tags(text):
    """The opening tags of forms in a lower-case text."""
    at = text.find("<form")
    while at >= 0:
        end = text.find(">", at)
        if end < 0:
            # Nothing closes any more, so there is no other one either.
            return
        yield text[at:end]
        at = text.find("<form", end)


def complaint(text):
    """What a page says when it is broken, or None."""
    text = text.lower()
    found = [(text.find(mark), mark) for mark in BROKEN if mark in text]
    return min(found)[1] if found else None


def spoken(text):
    """The text in lower case, without scripts and styles. One that nothing closes is text."""
    text = text.lower()
    kept, at = [], 0
    opening = {name: text.find("<" + name) for name in SILENT}
    while any(place >= 0 for place in opening.values()):
        name = min((name for name in SILENT if opening[name] >= 0), key=opening.get)
        begin = opening[name]
        after = begin + 1 + len(name)
        end = after if _is_word(text, after) else _closed(text, name, after)
        if end is None:
            # Nothing closes this kind any more.
            opening[name] = -1
            continue
        if end > after:
            kept.append(text[at:begin])
            at = end
        for other in SILENT:
            if 0 <= opening[other] < end:
                opening[other] = text.find("<" + other, end)
    kept.append(text[at:])
    return "".join(kept)


def _is_word(text, at):
    """Whether the name of a tag goes on."""
    return at < len(text) and (text[at].isalnum() or text[at] == "_")


def _closed(text, name, at):
    """Where the tag ends that closes what began before `at`, or None."""
    mark = "</" + name
    at = text.find(mark, at)
    while at >= 0:
        at += len(mark)
        while at < len(text) and text[at] in SPACES:
            at += 1
        if at < len(text) and text[at] == ">":
            return at + 1
        at = text.find(mark, at)
    return None
