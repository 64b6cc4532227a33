"""What must not be forgotten when a run dies: `pending-handlers.json` on the node.

`handlers` still have to run; `undo` brings back what was replaced, as long as
it has not been validated; `leftovers` are temporary names to clear away.

The node has one journal for all of its trees. A handler belongs to the tree
that made it due and runs with that one alone: handlers of different trees have
the same names, and what holds up one tree is no matter of another. Only what
was not validated is taken back by the next run of any tree that changes
something, because checks of all trees look at it.
"""

from __future__ import annotations

import json
import os

from ansible_collections.pressluft.host.plugins.module_utils.tree.document import Command, TreeError

FILE = "pending-handlers.json"


class Journal:
    def __init__(self, directory):
        self.directory = directory
        self.handlers = []
        # Whose tree `undo` and `leftovers` are of.
        self.tree = None
        self.undo = []
        self.leftovers = []

    @classmethod
    def load(cls, directory):
        journal = cls(directory)
        try:
            with open(os.path.join(directory, FILE), encoding="utf-8") as stream:
                stored = json.load(stream)
            journal.handlers = [
                Command(entry["name"], tuple(entry["argv"]), entry.get("tree")) for entry in stored["handlers"]
            ]
            journal.tree = stored.get("tree")
            journal.undo = stored["undo"]
            journal.leftovers = stored["leftovers"]
        except FileNotFoundError:
            return journal
        except (ValueError, KeyError, TypeError) as error:
            path = os.path.join(directory, FILE)
            raise TreeError("`%s` is damaged (%s): remove it after reloading the services by hand" % (path, error))
        return journal

    def is_unfinished(self, tree):
        """Whether a run of this tree has to be taken back."""
        return bool(self.undo or self.leftovers) and self.tree in (tree, None)

    def of_others(self, tree, handlers):
        """What is due and belongs to other trees than this one, which has these handlers.

        Where it is not written down whose it is, it is of the tree that has the very same handler.
        """
        own = {(handler.name, handler.argv) for handler in handlers}
        return [
            entry
            for entry in self.handlers
            if entry.tree != tree and not (entry.tree is None and (entry.name, entry.argv) in own)
        ]

    def save(self):
        path = os.path.join(self.directory, FILE)
        if not (self.handlers or self.undo or self.leftovers):
            try:
                os.unlink(path)
            except FileNotFoundError:
                return
        else:
            stored = {
                "version": 1,
                "handlers": [
                    {"name": entry.name, "argv": list(entry.argv), "tree": entry.tree} for entry in self.handlers
                ],
                "tree": self.tree,
                "undo": self.undo,
                "leftovers": self.leftovers,
            }
            fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as stream:
                json.dump(stored, stream)
                stream.flush()
                os.fsync(fd)
            os.rename(path + ".new", path)
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
