"""What must not be forgotten when a run dies: `pending-handlers.json` on the node.

`handlers` still have to run; `undo` brings back what was replaced, as long as
it has not been validated; `leftovers` are temporary names to clear away.
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
        self.undo = []
        self.leftovers = []

    @classmethod
    def load(cls, directory):
        journal = cls(directory)
        try:
            with open(os.path.join(directory, FILE), encoding="utf-8") as stream:
                stored = json.load(stream)
            journal.handlers = [Command(entry["name"], tuple(entry["argv"])) for entry in stored["handlers"]]
            journal.undo = stored["undo"]
            journal.leftovers = stored["leftovers"]
        except FileNotFoundError:
            return journal
        except (ValueError, KeyError, TypeError) as error:
            path = os.path.join(directory, FILE)
            raise TreeError("`%s` is damaged (%s): remove it after reloading the services by hand" % (path, error))
        return journal

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
                "handlers": [{"name": entry.name, "argv": list(entry.argv)} for entry in self.handlers],
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
