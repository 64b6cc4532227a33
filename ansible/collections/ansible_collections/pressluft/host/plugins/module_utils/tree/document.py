"""The tree document: JSON in, checked items out.

Nothing here touches the file system; every problem of a document is reported
in one go.
"""

from __future__ import annotations

import os
import re

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed

KINDS = ("file", "directory", "link", "absent")
MODE = re.compile(r"[0-7]{3,4}")
DEFAULT_MODE = {"file": "0644", "directory": "0755"}
ITEM_FIELDS = {
    "path",
    "kind",
    "content",
    "target",
    "owner",
    "group",
    "mode",
    "sensitive",
    "validators",
    "handlers",
    "recursive",
}


class TreeError(Failed):
    """A failure of the step; `details` become keys of its result."""


class Command:
    """`tree` is whose tree a handler belongs to that is due; None in a journal from before that was written down.

    Handlers that one `covers` need not run beside it, because it does what they do.
    """

    def __init__(self, name, argv, tree=None, covers=()):
        self.name = name
        self.argv = argv
        self.tree = tree
        self.covers = covers

    @property
    def takes_file(self):
        return any("%s" in word for word in self.argv)


class Item:
    def __init__(self, path, kind):
        self.path = path
        self.kind = kind
        self.content = b""
        self.target = b""
        self.owner = "root"
        self.group = "root"
        self.mode = 0
        self.sensitive = False
        self.validators = []
        self.handlers = []
        self.recursive = False
        self.uid = 0
        self.gid = 0


class Tree:
    def __init__(self, validators, handlers, items):
        self.validators = validators
        self.handlers = handlers
        self.items = items

    def placements(self):
        """Items that must exist, parents before what is in them."""
        kept = [item for item in self.items if item.kind != "absent"]
        return sorted(kept, key=lambda item: item.path.split("/"))

    def removals(self):
        """Items that must not exist, what is in a directory before it."""
        gone = [item for item in self.items if item.kind == "absent"]
        return sorted(gone, key=lambda item: item.path.split("/"), reverse=True)


def parse(document):
    """The `Tree` of a parsed JSON document.

    Raises `TreeError` with all problems when there are any.
    """
    problems = []
    if not isinstance(document, dict):
        raise TreeError("the tree is not a JSON object")
    if document.get("version") != 1:
        raise TreeError("tree version `%s` is not supported, expected `1`" % document.get("version"))
    unknown = set(document) - {"version", "validators", "handlers", "items"}
    if unknown:
        problems.append("unknown keys: %s" % ", ".join(sorted(unknown)))

    validators = {}
    for name, entry in (document.get("validators") or {}).items():
        validators[name] = _command("validator", name, entry, problems)
    handlers = []
    for entry in document.get("handlers") or []:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            problems.append("a handler has no name")
        elif any(known.name == name for known in handlers):
            problems.append("handler `%s` is defined twice" % name)
        else:
            handler = _handler(name, entry, problems)
            if handler is not None:
                handlers.append(handler)

    items = []
    for entry in document.get("items") or []:
        item = _item(entry, problems)
        if item is not None:
            items.append(item)
    handler_names = {handler.name for handler in handlers}
    for number, handler in enumerate(handlers):
        later = {other.name for other in handlers[number + 1 :]}
        for name in handler.covers:
            # Two that cover each other would both not run.
            if name not in later:
                problems.append("handler `%s` covers `%s`, which is no handler after it" % (handler.name, name))
    for item in items:
        for name in item.validators:
            if name not in validators:
                problems.append("`%s` names the unknown validator `%s`" % (item.path, name))
            elif validators[name] is not None and validators[name].takes_file and item.kind != "file":
                problems.append("`%s` is no file, but validator `%s` takes one" % (item.path, name))
        for name in item.handlers:
            if name not in handler_names:
                problems.append("`%s` names the unknown handler `%s`" % (item.path, name))
    _check_relations(items, problems)
    if problems:
        raise TreeError("the tree is not valid: %s" % "; ".join(problems), problems=problems)
    return Tree(validators, handlers, items)


def _command(kind, name, entry, problems):
    argv = entry.get("argv") if isinstance(entry, dict) else None
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) and "\0" not in word for word in argv):
        problems.append("%s `%s` has no `argv` list of words" % (kind, name))
        return None
    return Command(name, tuple(argv))


def _handler(name, entry, problems):
    command = _command("handler", name, entry, problems)
    covers = entry.get("covers", [])
    if not isinstance(covers, list) or not all(isinstance(word, str) for word in covers):
        problems.append("handler `%s` has no list of names in `covers`" % name)
    elif command is not None:
        command.covers = tuple(covers)
    return command


def _item(entry, problems):
    if not isinstance(entry, dict):
        problems.append("an item is not an object")
        return None
    path = entry.get("path")
    fault = _path_fault(path)
    if fault:
        problems.append("path `%s` %s" % (path, fault))
        return None
    start = len(problems)
    unknown = set(entry) - ITEM_FIELDS
    if unknown:
        problems.append("`%s` has unknown keys: %s" % (path, ", ".join(sorted(unknown))))
    kind = entry.get("kind")
    if kind not in KINDS:
        problems.append("`%s` has kind `%s`, expected one of %s" % (path, kind, ", ".join(KINDS)))
        return None

    item = Item(path, kind)
    item.content = _bytes(entry, "content", path, problems) if kind == "file" else b""
    if kind == "link":
        item.target = _bytes(entry, "target", path, problems)
        if not item.target or b"\0" in item.target:
            problems.append("`%s` is a link without a usable `target`" % path)
    for key in ("owner", "group"):
        value = entry.get(key)
        if value is not None:
            if not isinstance(value, str) or not value:
                problems.append("`%s` has no usable %s" % (path, key))
            setattr(item, key, value)
    mode = entry.get("mode")
    if mode is None:
        mode = DEFAULT_MODE.get(kind, "0")
    if kind in DEFAULT_MODE:
        if isinstance(mode, str) and MODE.fullmatch(mode):
            item.mode = int(mode, 8)
        else:
            problems.append('`%s` has mode `%s`, expected octal digits in a string such as "0644"' % (path, mode))
    for key in ("sensitive", "recursive"):
        value = entry.get(key)
        if value is not None and not isinstance(value, bool):
            problems.append("`%s`: `%s` is not true or false" % (path, key))
        setattr(item, key, bool(value))
    for key in ("validators", "handlers"):
        value = entry.get(key)
        value = [] if value is None else value
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            problems.append("`%s`: `%s` is not a list of names" % (path, key))
            value = []
        setattr(item, key, value)
    return item if len(problems) == start else None


def _bytes(entry, key, path, problems):
    value = entry.get(key)
    if not isinstance(value, str):
        problems.append("`%s` has no `%s`" % (path, key))
        return b""
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        problems.append("`%s`: `%s` is not valid UTF-8" % (path, key))
        return b""


def _path_fault(path):
    if not isinstance(path, str) or not path:
        return "is not a string"
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if "\0" in path:
        return "contains a NUL"
    if not path.startswith("/"):
        return "is not absolute"
    if path == "/" or os.path.normpath(path) != path or path.startswith("//"):
        return "is not in its normal form"
    if len(encoded) > 4095 or any(len(name) > 255 for name in encoded.split(b"/")):
        return "is too long"
    return None


def _check_relations(items, problems):
    """Items that contradict each other: same path, or one below another that is no directory."""
    by_path = {}
    for item in items:
        if item.path in by_path:
            problems.append("`%s` appears twice" % item.path)
        by_path[item.path] = item
    for item in items:
        parent = os.path.dirname(item.path)
        while parent != "/":
            above = by_path.get(parent)
            # Below a link or a file nothing can be placed; below a path that
            # goes away only things that go away too.
            if above is not None and above.kind != "directory" and not above.kind == item.kind == "absent":
                problems.append("`%s` is below `%s`, which is kind `%s`" % (item.path, parent, above.kind))
            parent = os.path.dirname(parent)
