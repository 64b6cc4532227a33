#!/usr/bin/python
"""Read what Pressluft needs to know about a node."""

# What runs is the action plugin of the same name.

from __future__ import annotations

DOCUMENTATION = r"""
---
module: facts
short_description: Read what rendering needs to know about a node
version_added: "0.1.0"
description:
  - Reads the distribution, hardware and addresses of a node from files and system calls, without starting programs.
options: {}
attributes:
  check_mode:
    support: full
    description: The module changes nothing.
author:
  - The Pressluft authors (@pressluft)
"""

EXAMPLES = r"""
- name: Read the node's facts
  pressluft.host.facts:
  register: node
"""

RETURN = r"""
facts:
  description: What was found.
  returned: always
  type: dict
  sample:
    distribution: debian
    version: "12"
    codename: bookworm
    architecture: amd64
    kernel: 6.1.0-18-amd64
    memory_bytes: 2063048704
    cpus: 2
    machine_id: 0f0e0d0c0b0a09080706050403020100
    hostname: web-1
    python: 3.11.2
    control_address: 198.51.100.7
    ipv4: [203.0.113.10]
    ipv6: ["2001:db8::10"]
    virtualization: kvm
    systemd: true
    disk_free_bytes: 17179869184
"""
