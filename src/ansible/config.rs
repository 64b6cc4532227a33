//! The settings of Ansible for one attempt, as environment variables: they win over every
//! configuration file that lies around.

use std::ffi::OsString;
use std::path::Path;

/// The descriptor on which our callback plugin writes its events.
pub(super) const EVENTS_FD: i32 = 3;
/// The descriptor on which a play asks for commands on its node.
pub(super) const NODE_FD: i32 = 4;

/// Python on the node; looking for it would cost a connection and invite surprises.
pub(super) const NODE_PYTHON: &str = "/usr/bin/python3";

/// The content of `ansible.cfg`: what cannot be said in the environment.
///
/// While a task runs on the node, Ansible looks every millisecond whether it has ended, which
/// takes a tenth of a core for each job that waits.
pub(super) const FILE: &[u8] = b"[defaults]\ninternal_poll_interval = 0.005\n";

/// What does not depend on the attempt.
const FIXED: [(&str, &str); 26] = [
    ("ANSIBLE_CALLBACKS_ENABLED", "pressluft.host.events"),
    ("ANSIBLE_STDOUT_CALLBACK", "ansible.builtin.minimal"),
    ("PRESSLUFT_EVENTS_FD", "3"),
    ("PRESSLUFT_NODE_FD", "4"),
    ("ANSIBLE_COLLECTIONS_SCAN_SYS_PATH", "False"),
    ("ANSIBLE_INVENTORY_ENABLED", "ansible.builtin.yaml"),
    ("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "True"),
    ("ANSIBLE_TRANSPORT", "pressluft.host.node"),
    ("ANSIBLE_PIPELINING", "True"),
    ("ANSIBLE_TIMEOUT", "10"),
    ("ANSIBLE_GATHERING", "explicit"),
    ("ANSIBLE_PYTHON_INTERPRETER", NODE_PYTHON),
    ("ANSIBLE_FORKS", "1"),
    ("ANSIBLE_RETRY_FILES_ENABLED", "False"),
    ("ANSIBLE_NOCOWS", "True"),
    ("ANSIBLE_NOCOLOR", "True"),
    ("ANSIBLE_DISPLAY_ARGS_TO_STDOUT", "False"),
    // Modules would write their arguments to the node's system log.
    ("ANSIBLE_NO_TARGET_SYSLOG", "True"),
    ("ANSIBLE_DEPRECATION_WARNINGS", "False"),
    ("ANSIBLE_DEVEL_WARNING", "False"),
    ("ANSIBLE_LOCALHOST_WARNING", "False"),
    ("ANSIBLE_INVENTORY_UNPARSED_WARNING", "False"),
    ("ANSIBLE_ERROR_ON_MISSING_HANDLER", "True"),
    ("ANSIBLE_JINJA2_NATIVE", "True"),
    ("ANSIBLE_ALLOW_BROKEN_CONDITIONALS", "False"),
    ("ANSIBLE_DUPLICATE_YAML_DICT_KEY", "error"),
];

/// The environment of `ansible-playbook`.
///
/// `content` is the unpacked directory of playbooks, `attempt` that of the attempt's files.
pub(super) fn environment(content: &Path, attempt: &Path) -> Vec<(&'static str, OsString)> {
    let mut environment: Vec<(&'static str, OsString)> = FIXED
        .iter()
        .map(|(name, value)| (*name, OsString::from(value)))
        .collect();
    environment.extend([
        (
            "ANSIBLE_CONFIG",
            attempt.join("ansible.cfg").into_os_string(),
        ),
        ("ANSIBLE_HOME", attempt.join("home").into_os_string()),
        ("ANSIBLE_LOCAL_TEMP", attempt.join("tmp").into_os_string()),
        ("TMPDIR", attempt.join("tmp").into_os_string()),
        (
            "ANSIBLE_COLLECTIONS_PATH",
            content.join("collections").into_os_string(),
        ),
        ("ANSIBLE_ROLES_PATH", content.join("roles").into_os_string()),
    ]);
    environment
}
