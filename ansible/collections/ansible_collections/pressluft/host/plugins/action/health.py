"""Checks an environment's health through our own program; see the module of the same name."""

from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.pressluft.host.plugins.plugin_utils import answers
from ansible_collections.pressluft.host.plugins.plugin_utils.options import HEALTH, checked
from ansible_collections.pressluft.host.plugins.plugin_utils.remote import execute, plain


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        options = checked("health", HEALTH, plain(self._task.args))
        return execute(self, {"program": "health", "options": options}, task_vars, answers.health)
