"""Reads the node's facts through our own program; see the module of the same name."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.pressluft.host.plugins.plugin_utils import answers
from ansible_collections.pressluft.host.plugins.plugin_utils.options import checked
from ansible_collections.pressluft.host.plugins.plugin_utils.remote import execute


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        checked("facts", {}, self._task.args)
        return execute(self, {"program": "facts"}, task_vars, answers.facts)
