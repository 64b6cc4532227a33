#!/usr/bin/python
"""Check an environment's health."""

# What runs is the action plugin of the same name.

from __future__ import annotations

DOCUMENTATION = r"""
---
module: health
short_description: Check that an environment serves its site
version_added: "0.1.0"
description:
  - Asks the node's own web server for the front page, the login page and the paths of the document, and WordPress for
    its installation and its database. Every check has its own time limit and one more try.
  - All findings are reported together.
options:
  system:
    description: The environment's user and database.
    type: str
    required: true
  root:
    description: The environment's directory.
    type: path
    required: true
  php:
    description: The PHP version.
    type: str
    required: true
  url:
    description: The environment's address.
    type: str
    required: true
  domains:
    description: Other names of the site, to which the front page may redirect.
    type: list
    elements: str
    required: true
  paths:
    description: The pages that are looked at. C(/) is the front page.
    type: list
    elements: str
    required: true
  expect:
    description: The status that they must answer with.
    type: int
    required: true
  timeout:
    description: Seconds for each check.
    type: int
    required: true
  login:
    description: User and password of HTTP basic authentication, with a colon between.
    type: str
  maintenance:
    description: Whether the site is closed on purpose; it must then say so.
    type: bool
    required: true
attributes:
  check_mode:
    support: full
    description: The module changes nothing.
author:
  - The Pressluft authors (@pressluft)
"""

EXAMPLES = r"""
- name: Check the site
  pressluft.host.health:
    system: wp_acme_production
    root: /var/www/sites/acme/production
    php: "8.2"
    url: http://acme.203-0-113-10.sslip.io
"""

RETURN = r"""
findings:
  description: What is wrong, by check; empty when the environment is healthy.
  returned: always
  type: list
  elements: dict
  sample:
    - check: front page
      url: http://acme.203-0-113-10.sslip.io/
      finding: it answers with 500
"""
