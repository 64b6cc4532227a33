"""A rendered tree of files, directories and links, brought about in one go.

Each file is replaced atomically. Validators decide whether the new state counts; when one of them fails, everything
that this run changed gets its previous content, owner and mode back and no handler runs. Handlers that have to run are
written down on the node before the first item is placed, so that a run that dies in between does not lose a reload. The
next run of the same tree runs them; the next run that changes something in any tree takes back what was never
validated. Links on the way to a path are followed only when root made them. In directories that others can change they
must also stay below the directory that they are in.
"""

from __future__ import annotations

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed
from ansible_collections.pressluft.host.plugins.module_utils.tree.apply import Application
from ansible_collections.pressluft.host.plugins.module_utils.tree.document import TreeError


def carry_out(options, node):
    application = None
    try:
        application = Application(
            options["tree"], options["of"], options["state_dir"], node.check_mode, node.want_diff, node.warn
        )
        return application.run()
    except (TreeError, OSError) as error:
        result = dict(application.result if application else {"changed": False})
        result.update(getattr(error, "details", {}))
        raise Failed(str(error), **result)
