"""Whether an environment serves its site.

Asks the node's own web server for the front page, the login page and the paths of the document, and WordPress for its
installation and its database. Every check has its own time limit and one more try. All findings are reported together.
"""

from __future__ import annotations

import re
import time
from urllib.parse import urljoin, urlsplit

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


def serve(request, listener):
    params = request["options"]
    todo = [(name, urljoin(params["url"] + "/", path), check) for name, path, check in Visitor(params).checks()]
    todo.append(("WordPress", None, lambda: wordpress(params)))
    findings, seconds = [], {}
    for name, url, check in todo:
        begin = time.monotonic()
        finding = attempt(check)
        seconds[url or name] = round(time.monotonic() - begin, 3)
        if finding is not None:
            findings.append({"check": name, "url": url, "finding": finding})
    result = {"changed": False, "findings": findings, "checks": seconds}
    if findings:
        lines = ["%s%s: %s" % (f["check"], " `%s`" % f["url"] if f["url"] else "", f["finding"]) for f in findings]
        result.update(failed=True, msg="SITE_UNHEALTHY: " + "; ".join(lines))
    return result
