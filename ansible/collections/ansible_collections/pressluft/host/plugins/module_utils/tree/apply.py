"""Applying a tree: look, validate, place, validate, reload, in that order."""

from __future__ import annotations

import os
import resource

from ansible_collections.pressluft.host.plugins.module_utils.fence import private_directory
from ansible_collections.pressluft.host.plugins.module_utils.tree import commands
from ansible_collections.pressluft.host.plugins.module_utils.tree.difference import diff_of
from ansible_collections.pressluft.host.plugins.module_utils.tree.document import Command, TreeError, parse
from ansible_collections.pressluft.host.plugins.module_utils.tree.journal import Journal
from ansible_collections.pressluft.host.plugins.module_utils.tree.observe import changes, refuse_full_directories
from ansible_collections.pressluft.host.plugins.module_utils.tree.owners import resolve_owners
from ansible_collections.pressluft.host.plugins.module_utils.tree.place import Placer, write_file
from ansible_collections.pressluft.host.plugins.module_utils.tree.walk import Directories


class Application:
    """One run over one tree; `result` grows as it goes on and is what the task returns.

    `of` says whose tree it is: the node's, or an environment's.
    """

    def __init__(self, document, of, state_dir, check_mode, want_diff, warn):
        self.tree = parse(document)
        self.of = of
        self.state_dir = state_dir
        self.check_mode = check_mode
        self.want_diff = want_diff
        self.warn = warn
        self.result = {"changed": False, "items": [], "ok": len(self.tree.items), "validators": [], "handlers": []}

    def run(self):
        resolve_owners(self.tree, self.check_mode, self.warn)
        _allow_many_open_files()
        if not self.check_mode:
            private_directory(self.state_dir)
        journal = Journal.load(self.state_dir)
        if not self.check_mode:
            self._recover(journal)
        elif journal.is_unfinished(self.of):
            self.warn("an interrupted run is going to be taken back first")
        directories = Directories()
        try:
            self._apply(journal, directories)
        finally:
            directories.close()
        return self.result

    def censor(self, text):
        return commands.censor_of(self.tree)(text)

    def _recover(self, journal):
        """Takes back what a run placed that died before it was validated."""
        if not (journal.undo or journal.leftovers):
            return
        directories = Directories()
        try:
            failures = self._take_back(journal, directories)
        finally:
            directories.close()
        for failure in failures:
            # Not fatal: what this tree names is brought to its state below anyway.
            self.warn("a part of an interrupted run cannot be taken back: %s" % failure)
        journal.undo = []
        journal.leftovers = []
        journal.save()

    def _apply(self, journal, directories):
        planned = changes(self.tree, directories, self.check_mode, self.warn)
        refuse_full_directories(planned, directories)
        if self.want_diff:
            for change in planned:
                change.diff = diff_of(change, directories)
            self.result["diff"] = [change.diff for change in planned]
        self.result["items"] = [_report(change, change.state) for change in planned]
        self.result["ok"] = len(self.tree.items) - len(planned)

        wanted = {name for change in planned for name in change.item.handlers}
        others = journal.of_others(self.of, self.tree.handlers)
        due = self._due(wanted, [entry for entry in journal.handlers if entry not in others])
        self.result["changed"] = bool(planned or due or journal.is_unfinished(self.of))
        self._validate_candidates(planned)
        whole = [
            validator
            for name, validator in self.tree.validators.items()
            if not validator.takes_file and any(name in change.item.validators for change in planned)
        ]
        if self.check_mode:
            self.result["validators"] += [{"name": entry.name, "predicted": True} for entry in whole]
            self.result["handlers"] = [{"name": entry.name, "predicted": True} for entry in due]
            return
        if planned:
            self._place(planned, whole, others, due, journal, directories)
        else:
            # What a former version of this tree left is of it by now.
            journal.handlers = others + due
        self._run_handlers(due, journal)

    def _due(self, wanted, pending):
        """The handlers to run: those of this tree in its order, then those that it does not name any more."""
        waiting = {entry.name for entry in pending}
        handlers = self.tree.handlers
        own = [handler for handler in handlers if handler.name in wanted or handler.name in waiting]
        covered = {name for handler in own for name in handler.covers}
        own = [handler for handler in own if handler.name not in covered]
        names = {handler.name for handler in handlers}
        left = [entry for entry in pending if entry.name not in names]
        return [Command(entry.name, entry.argv, self.of) for entry in own + left]

    def _validate_candidates(self, planned):
        """Runs the validators that take a file on what is going to be placed, before anything is touched."""
        todo = [
            (change.item, self.tree.validators[name])
            for change in planned
            for name in change.item.validators
            if self.tree.validators[name].takes_file and set(change.what) & {"content", "kind"}
        ]
        if not todo:
            return
        import shutil
        import tempfile

        # Only root can look into this directory, and the file keeps its own
        # name in it: some validators judge by the extension.
        folder = tempfile.mkdtemp(prefix="pressluft-", dir="/run" if os.access("/run", os.W_OK) else None)
        try:
            for index, (item, validator) in enumerate(todo):
                place = os.path.join(folder, str(index))
                os.mkdir(place, 0o700)
                candidate = os.path.join(place, os.path.basename(item.path))
                write_file(candidate, item, None)
                argv = [word.replace("%s", candidate) for word in validator.argv]
                if self.check_mode and shutil.which(argv[0]) is None:
                    self.warn("validator `%s` is not installed yet: `%s`" % (validator.name, argv[0]))
                    self.result["validators"].append({"name": validator.name, "predicted": True})
                    continue
                outcome = self._validator(validator.name, argv)
                if outcome.rc != 0:
                    self.result.update(changed=False, items=[], ok=len(self.tree.items))
                    self._fail_validator(validator.name, outcome, [item.path], "nothing was changed")
        finally:
            shutil.rmtree(folder)

    def _place(self, planned, whole, others, due, journal, directories):
        before = list(journal.handlers)
        journal.tree = self.of
        journal.undo = [change.undo() for change in planned]
        journal.leftovers = [path for change in planned for path in change.leftovers()]
        journal.handlers = others + due
        journal.save()
        placer = Placer(directories)
        failed = None
        try:
            for change in planned:
                failed = change.item.path
                placer.place(change)
            placer.sync()
        except (OSError, TreeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._roll_back(planned, before, journal, directories)
            raise TreeError("`%s` cannot be placed: %s; %s" % (failed, reason, self.rolled_back), paths=[failed])
        for validator in whole:
            outcome = self._validator(validator.name, list(validator.argv))
            if outcome.rc != 0:
                self._roll_back(planned, before, journal, directories)
                paths = [change.item.path for change in planned if validator.name in change.item.validators]
                self._fail_validator(validator.name, outcome, paths, self.rolled_back)
        # From here on the new state counts.
        journal.undo = []
        journal.save()
        self._clear(journal, placer)
        if not due:
            journal.save()

    def _roll_back(self, planned, handlers_before, journal, directories):
        failures = self._take_back(journal, directories)
        if failures:
            self.result["items"] = [_report(change, change.state) for change in planned]
            self.rolled_back = "the previous state is NOT fully back: %s" % "; ".join(failures)
            return
        journal.handlers = handlers_before
        journal.save()
        self.result["changed"] = False
        self.result["items"] = [_report(change, "restored") for change in planned]
        self.rolled_back = "the previous state is back"

    def _take_back(self, journal, directories):
        """Undoes the journal's steps, last first; returns what could not be undone."""
        placer = Placer(directories)
        failures = []
        left = []
        for step in reversed(journal.undo):
            try:
                placer.undo(step)
            except (OSError, TreeError) as error:
                failures.append("`%s`: %s" % (step["path"], getattr(error, "strerror", None) or error))
                left.insert(0, step)
        if not failures:
            self._clear(journal, placer)
        journal.undo = left
        try:
            placer.sync()
        except OSError as error:
            failures.append("the disk: %s" % error.strerror)
        return failures

    def _clear(self, journal, placer):
        for path in journal.leftovers:
            try:
                placer.clear(path)
            except (OSError, TreeError) as error:
                self.warn("`%s` is left over: %s" % (path, getattr(error, "strerror", None) or error))
        journal.leftovers = []

    def _validator(self, name, argv):
        outcome = commands.run(argv, commands.VALIDATOR_TIMEOUT, self.censor)
        self.result["validators"].append({"name": name, "rc": outcome.rc, "seconds": outcome.seconds})
        return outcome

    def _fail_validator(self, name, outcome, paths, consequence):
        message = "validator `%s` (%s) failed with rc %d on %s; %s:\n%s" % (
            name,
            " ".join(outcome.argv),
            outcome.rc,
            ", ".join("`%s`" % path for path in paths),
            consequence,
            outcome.output,
        )
        details = {"validator": name, "argv": outcome.argv, "rc": outcome.rc, "paths": paths}
        raise TreeError(message, stderr=outcome.output, **details)

    def _run_handlers(self, due, journal):
        own = {handler.name for handler in self.tree.handlers}
        for handler in due:
            outcome = commands.run(handler.argv, commands.HANDLER_TIMEOUT, self.censor)
            report = {"name": handler.name, "rc": outcome.rc, "seconds": outcome.seconds}
            self.result["handlers"].append(report)
            message = "handler `%s` (%s) failed with rc %d" % (handler.name, " ".join(handler.argv), outcome.rc)
            if outcome.rc != 0 and handler.name in own:
                details = {"handler": handler.name, "argv": list(handler.argv), "rc": outcome.rc}
                message = "%s and stays pending:\n%s" % (message, outcome.output)
                raise TreeError(message, stderr=outcome.output, **details)
            if outcome.rc != 0:
                # This tree does not name it any more: it was for something that is gone by now.
                self.warn(message)
            journal.handlers = [entry for entry in journal.handlers if entry is not handler]
            journal.save()


def _report(change, state):
    return {"path": change.item.path, "kind": change.item.kind, "state": state, "what": change.what}


def _allow_many_open_files():
    """Every directory of the tree stays open for the run."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    soft = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
