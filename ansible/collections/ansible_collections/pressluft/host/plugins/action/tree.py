"""Reads the tree document on the controller and hands it to the module of the same name."""

from __future__ import annotations

import json

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if "tree" in arguments:
            raise AnsibleActionFail("`tree` cannot be set in a task, use `src`")
        source = arguments.get("src")
        if not source:
            raise AnsibleActionFail("`src` is missing")
        try:
            # The text never meets the template engine: what looks like a
            # template in a file's content is content.
            with open(source, encoding="utf-8") as stream:
                arguments["tree"] = json.load(stream)
        except (OSError, ValueError) as error:
            raise AnsibleActionFail("cannot read the tree `%s`: %s" % (source, error))
        result = self._execute_module(
            module_name="pressluft.host.tree",
            module_args=arguments,
            task_vars=task_vars,
        )
        result.pop("invocation", None)
        return result
