#!/usr/bin/python
"""Apply a rendered tree of files, directories and links."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: tree
short_description: Apply a rendered tree of files, directories and links
version_added: "0.1.0"
description:
  - Brings files, directories and links to the state that a tree document describes, in one remote execution.
  - Each file is replaced atomically. Validators decide whether the new state counts; when one of them fails,
    everything that this run changed gets its previous content, owner and mode back and no handler runs.
  - Handlers that have to run are written down on the node before the first item is placed, so that a run that
    dies in between does not lose a reload. The next run takes back what was never validated and runs them.
  - The document is read on the controller and never passes the template engine.
  - Links on the way to a path are followed only when root made them. In directories that others can change
    they must also stay below the directory that they are in.
options:
  src:
    description:
      - The tree document, a JSON file on the controller.
    type: path
    required: true
  tree:
    description:
      - The parsed document. The action plugin fills it in; it is not meant for playbooks.
    type: dict
  state_dir:
    description:
      - Where the node keeps its lock and the pending handlers. It is made with mode 0700; its parent must exist.
    type: path
    default: /var/lib/pressluft
  lock_timeout:
    description:
      - How many seconds to wait while another tree is applied on the same node.
    type: int
    default: 300
notes:
  - In check mode, a missing owner, group or parent directory is a warning and not an error, because an earlier
    task may be going to make it.
  - The key C(items) of the result hides behind the method of the same name; write C(result['items']).
attributes:
  check_mode:
    support: full
    description: Predicts what would change; validators that take a file run on a temporary copy.
  diff_mode:
    support: full
    description: One entry for each changed item; the content of sensitive items is not shown.
author:
  - The Pressluft authors (@pressluft)
"""

EXAMPLES = r"""
- name: Apply the node's files
  pressluft.host.tree:
    src: "{{ pressluft_attempt_dir }}/tree.json"
"""

RETURN = r"""
items:
  description: Every item that was not as it should be.
  returned: always
  type: list
  elements: dict
  sample:
    - path: /etc/nginx/conf.d/acme.conf
      kind: file
      state: changed
      what: [content, mode]
ok:
  description: How many items were as they should be.
  returned: always
  type: int
  sample: 39
validators:
  description: Validators that ran, or in check mode would run.
  returned: always
  type: list
  elements: dict
  sample:
    - name: nginx
      rc: 0
      seconds: 0.021
handlers:
  description: Handlers that ran, or in check mode would run, in that order.
  returned: always
  type: list
  elements: dict
  sample:
    - name: reload-nginx
      rc: 0
      seconds: 0.142
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pressluft.host.plugins.module_utils.tree.apply import Application
from ansible_collections.pressluft.host.plugins.module_utils.tree.document import TreeError


class QuietModule(AnsibleModule):
    """Its parameters hold the content of sensitive files, so they reach neither the journal nor the result."""

    def _log_invocation(self):
        return


def main():
    module = QuietModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "tree": {"type": "dict"},
            "state_dir": {"type": "path", "default": "/var/lib/pressluft"},
            "lock_timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    document = module.params["tree"]
    state_dir = module.params["state_dir"]
    lock_timeout = module.params["lock_timeout"]
    module.params = {}
    if document is None:
        module.fail_json(msg="`src` is read by the action plugin of the same name: it is missing", invocation={})
    application = None
    try:
        application = Application(document, state_dir, module.check_mode, module._diff, lock_timeout, module.warn)
        result = application.run()
    except TreeError as error:
        result = dict(application.result if application else {"changed": False})
        result.update(error.details)
        module.fail_json(msg=str(error), invocation={}, **result)
    except OSError as error:
        result = application.result if application else {}
        module.fail_json(msg="%s" % error, invocation={}, **result)
    module.exit_json(invocation={}, **result)


if __name__ == "__main__":
    main()
