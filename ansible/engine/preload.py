"""Loads what every play needs, and says what of the configuration may differ from job to job.

No play runs here: some of what a play sets up can be set up only once in a process.
"""

import atexit
import importlib
import os
import tempfile
import warnings

# What a job may set in its environment differently from the server's own. Plugins look at their options when they are
# used; `settings_of_jobs` finds the settings of Ansible itself that follow from these.
JOB_VARIABLES = frozenset(
    (
        "ANSIBLE_CONFIG",
        "ANSIBLE_HOME",
        "ANSIBLE_LOCAL_TEMP",
        "TMPDIR",
    )
)

MODULES = (
    "ansible.cli.playbook",
    "ansible.executor.module_common",
    "ansible.executor.playbook_executor",
    "ansible.executor.process.worker",
    "ansible.executor.task_executor",
    "ansible.module_utils.common.arg_spec",
    "ansible.modules",
    "ansible.playbook.handler_task_include",
    "ansible.playbook.included_file",
    "ansible.playbook.role_include",
    "ansible.plugins.action.command",
    "ansible.plugins.action.copy",
    "ansible.plugins.action.debug",
    "ansible.plugins.action.include_vars",
    "ansible.plugins.action.normal",
    "ansible.plugins.vars.host_group_vars",
    "multiprocessing.popen_fork",
    "multiprocessing.resource_tracker",
    "multiprocessing.synchronize",
    "ansible_collections.ansible.builtin",
    "ansible_collections.pressluft.host",
    "ansible_collections.pressluft.host.plugins.callback.events",
    "ansible_collections.pressluft.host.plugins.plugin_utils.options",
    "ansible_collections.pressluft.host.plugins.plugin_utils.remote",
)

# Kinds of plugins of which each play looks at all, for the names of their options.
WHOLE_KINDS = ("become_loader", "callback_loader", "connection_loader", "shell_loader")

PLUGINS = (
    ("cache_loader", "memory"),
    ("callback_loader", "ansible.builtin.minimal"),
    ("callback_loader", "pressluft.host.events"),
    ("connection_loader", "pressluft.host.node"),
    ("inventory_loader", "ansible.builtin.yaml"),
    ("strategy_loader", "linear"),
    ("action_loader", "ansible.builtin.normal"),
    ("action_loader", "pressluft.host.converge"),
    ("action_loader", "pressluft.host.facts"),
    ("action_loader", "pressluft.host.health"),
)


def preload():
    """The module `ansible.cli.playbook`, with all that it will ask for in memory.

    Raises what importing raises, and `ImportError` for a plugin that is not there.
    """
    cli = importlib.import_module("ansible.cli.playbook")
    plugins = importlib.import_module("ansible.plugins.loader")
    plugins.init_plugin_loader([])
    # Each play asks for the collections again, and is told that they are there already.
    warnings.filterwarnings("ignore", message="AnsibleCollectionFinder has already been configured")
    for name in MODULES:
        importlib.import_module(name)
    for kind in WHOLE_KINDS:
        for plugin in getattr(plugins, kind).all(class_only=True):
            assert plugin is not None
    for kind, name in PLUGINS:
        if getattr(plugins, kind).get(name, class_only=True) is None:
            raise ImportError("there is no plugin `%s`" % name)
    return cli


def settings_of_jobs():
    """The names of the settings whose values depend on `JOB_VARIABLES`, in an order to set them."""
    definitions = importlib.import_module("ansible.constants").config.get_configuration_definitions()
    chosen = []
    for name, definition in definitions.items():
        if any(entry.get("name") in JOB_VARIABLES for entry in definition.get("env") or ()):
            chosen.append(name)
    found = True
    while found:
        found = [
            name
            for name, definition in definitions.items()
            if name not in chosen and _mentions(definition.get("default"), chosen)
        ]
        chosen += found
    return chosen


def _mentions(default, names):
    """Whether the default value of a setting is a template of other settings."""
    if isinstance(default, (list, tuple)):
        return any(_mentions(entry, names) for entry in default)
    return isinstance(default, str) and "{{" in default and any(name in default for name in names)


def configure(settings, environment):
    """Makes this process's environment that of the job, and Ansible's settings what they would be had it started so."""
    constants = importlib.import_module("ansible.constants")
    os.environ.clear()
    os.environ.update(environment)
    config = constants.config
    config._config_file = environment["ANSIBLE_CONFIG"]
    for name in settings:
        constants.set_constant(name, config.get_config_value(name, variables=vars(constants)))
    constants.CONFIG_FILE = config._config_file
    # Found anew when it is asked for.
    tempfile.tempdir = None


def forget_own_directory():
    """Leaves the temporary directory of the server to the server, whose clean-up every child inherits."""
    atexit.unregister(importlib.import_module("ansible.utils.path").cleanup_tmp_file)
