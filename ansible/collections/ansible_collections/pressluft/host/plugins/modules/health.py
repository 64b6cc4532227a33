#!/usr/bin/python
"""Check an environment's health."""

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
    default: []
  paths:
    description: The pages that are looked at. C(/) is the front page.
    type: list
    elements: str
    default: [/]
  expect:
    description: The status that they must answer with.
    type: int
    default: 200
  timeout:
    description: Seconds for each check.
    type: int
    default: 10
  login:
    description: User and password of HTTP basic authentication, with a colon between.
    type: str
  maintenance:
    description: Whether the site is closed on purpose; it must then say so.
    type: bool
    default: false
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
checks:
  description: Seconds that each check took.
  returned: always
  type: dict
"""

import re
import time
from urllib.parse import urljoin, urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed
from ansible_collections.pressluft.host.plugins.module_utils.web import Unreachable, fetch
from ansible_collections.pressluft.host.plugins.module_utils.wordpress import Site

BROKEN = re.compile(r"fatal error|parse error|uncaught|error establishing a database connection", re.I)
INSTALLER = re.compile(r"wp-admin/(?:install|setup-config)\.php|<form[^>]+id=[\"']setup[\"']", re.I)
# What scripts say about errors of their own is no error of the page.
SCRIPTS = re.compile(r"<(script|style)\b.*?</\1\s*>", re.I | re.S)
ASK = """
global $wpdb;
$wpdb->suppress_errors();
$count = $wpdb->get_var( "SELECT COUNT(*) FROM {$wpdb->options} WHERE option_name = 'siteurl'" );
echo "\\x1e", json_encode( array( 'installed' => is_blog_installed(), 'options' => (int) $count, 'error' => (bool) $wpdb->last_error ) );
"""


class Wrong(Exception):
    """A check's finding."""


class Visitor:
    def __init__(self, params):
        self.params = params
        self.hosts = {urlsplit(params["url"]).hostname, *params["domains"]}

    def page(self, path, status=200):
        url = urljoin(self.params["url"] + "/", path)
        try:
            page = fetch(url, self.params["timeout"], self.hosts, self.params["login"])
        except Unreachable as error:
            raise Wrong(str(error))
        if INSTALLER.search(page.url):
            raise Wrong("it leads to the installer: WordPress is not installed")
        if page.status != status:
            raise Wrong("it answers with %d" % page.status)
        return page

    def front_page(self):
        if self.params["maintenance"]:
            self.page("/", 503)
            return
        page = self.page("/", self.params["expect"])
        if self.params["expect"] != 200:
            return
        if not page.is_html:
            raise Wrong("it is `%s` and not HTML" % page.headers.get("Content-Type", "nothing"))
        text = SCRIPTS.sub("", page.body)
        if INSTALLER.search(text):
            raise Wrong("it is the installer: WordPress is not installed")
        broken = BROKEN.search(text)
        if broken:
            raise Wrong("it says `%s`" % broken.group())

    def checks(self):
        """Name, path and function of every check that is a page."""
        if self.params["maintenance"]:
            yield "front page", "/", self.front_page
            return
        for path in self.params["paths"]:
            if path == "/":
                yield "front page", path, self.front_page
            else:
                yield "page", path, lambda path=path: self.page(path, self.params["expect"])
        yield "login page", "/wp-login.php", lambda: self.page("/wp-login.php")


def wordpress(params):
    site = Site(params["system"], params["root"], params["php"])
    try:
        answer = site.evaluate(ASK, {}, timeout=params["timeout"])
    except Failed as error:
        raise Wrong(str(error))
    if not answer["installed"]:
        raise Wrong("WordPress is not installed")
    if answer["error"] or answer["options"] != 1:
        raise Wrong("the database does not answer a query")


def attempt(check, until_it_counts=2):
    """The finding of a check, or None; one more try, for what was just being reloaded."""
    for remaining in reversed(range(until_it_counts)):
        try:
            check()
            return None
        except Wrong as wrong:
            finding = str(wrong)
        if remaining:
            time.sleep(1)
    return finding


def main():
    module = AnsibleModule(
        argument_spec={
            "system": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "php": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "domains": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "str", "default": ["/"]},
            "expect": {"type": "int", "default": 200},
            "timeout": {"type": "int", "default": 10},
            "login": {"type": "str", "no_log": True},
            "maintenance": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    todo = [(name, urljoin(params["url"] + "/", path), check) for name, path, check in Visitor(params).checks()]
    todo.append(("WordPress", None, lambda: wordpress(params)))
    findings, seconds = [], {}
    for name, url, check in todo:
        begin = time.monotonic()
        finding = attempt(check)
        seconds[url or name] = round(time.monotonic() - begin, 3)
        if finding is not None:
            findings.append({"check": name, "url": url, "finding": finding})
    if findings:
        lines = ["%s%s: %s" % (f["check"], " `%s`" % f["url"] if f["url"] else "", f["finding"]) for f in findings]
        module.fail_json(msg="SITE_UNHEALTHY: " + "; ".join(lines), findings=findings, checks=seconds)
    module.exit_json(changed=False, findings=[], checks=seconds)


if __name__ == "__main__":
    main()
