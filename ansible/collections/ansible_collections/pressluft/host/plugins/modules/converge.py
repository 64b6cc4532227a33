#!/usr/bin/python
"""Bring a node to its state, step by step."""

# What runs is the action plugin of the same name.

from __future__ import annotations

DOCUMENTATION = r"""
---
module: converge
short_description: Bring a node to its state, step by step
version_added: "0.1.0"
description:
  - Carries out steps in their order, in as few remote executions as there are changes. A node that is as it should be
    costs one, and each step that changes something at most one more.
  - It is the one thing of Pressluft that changes a node, and it does so only behind the node's fence. While it works,
    nothing else of Pressluft works there. A run whose claim is over is refused with C(NODE_FENCED).
  - The fencing token comes from the variable C(pressluft.job) and not from the task, so that no task can forget it.
  - Every step is reported as a task of its own, with its own changes and its own diff.
options:
  steps:
    description:
      - What is to be done, each with a C(name) and the options of one kind.
      - C(account), a system user; C(boundaries), a look at what would let an environment's user get further than its
        place; C(cache), empty caches; C(clone), another environment's database and uploads; C(code), a look at what an
        environment serves, which puts nothing back; C(database), a secure database server; C(languages), the
        translations of an environment's WordPress, plugins and themes; C(packages), Debian
        packages; C(release), the code that an environment serves; C(services), units that run; C(source), a file from
        the control plane or from an address; C(tree), a rendered tree of files; and C(wordpress), an installation and
        its options. C(plugin_utils/options.py) lists the options of each.
    type: list
    elements: dict
    required: true
  state_dir:
    description: Where the node keeps the highest token that it has seen. It is made with mode 0700.
    type: str
    default: /var/lib/pressluft
  run_dir:
    description: Where the node keeps its lock. It is made with mode 0700.
    type: str
    default: /run/pressluft
  lock_timeout:
    description: How many seconds to wait while something else of Pressluft works on the node.
    type: int
    default: 900
attributes:
  check_mode:
    support: full
    description: Predicts the changes of every step, and writes nothing, not even the token.
  diff_mode:
    support: full
    description: The diffs of the steps, one after the other; the content of sensitive files is not shown.
author:
  - The Pressluft authors (@pressluft)
"""

EXAMPLES = r"""
- name: Have the web server
  pressluft.host.converge:
    steps:
      - name: Install the packages
        packages:
          name: [nginx]
      - name: Apply the node's files
        tree:
          src: "{{ pressluft.paths.tree }}"
"""

RETURN = r"""
steps:
  description: The result of each step that was carried out or had nothing to do.
  returned: always
  type: list
  elements: dict
  sample:
    - name: Install the packages
      kind: packages
      status: ok
      seconds: 0.012
"""
