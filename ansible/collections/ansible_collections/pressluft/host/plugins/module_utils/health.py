"""Whether an environment serves its site.

Asks the node's own web server for the front page, the login page and the paths of the document, and WordPress for its
installation and its database. Every check has its own time limit, in which one more try falls. All findings are
reported together.

What the site says is read without the rights of root: its pages by children that have given them up, its WordPress by
a program of the tenant. This process reads what they found, in bounds, and ends them when their time is over.
"""

from __future__ import annotations

import json
import time
from urllib.parse import urljoin, urlsplit

from ansible_collections.pressluft.host.plugins.module_utils import page as pages
from ansible_collections.pressluft.host.plugins.module_utils.fence import is_abandoned
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed
from ansible_collections.pressluft.host.plugins.module_utils.unprivileged import Child, collect
from ansible_collections.pressluft.host.plugins.module_utils.web import Late, Unreachable, fetch, within
from ansible_collections.pressluft.host.plugins.module_utils.wordpress import Site

ASK = """
global $wpdb;
$wpdb->suppress_errors();
$count = $wpdb->get_var( "SELECT COUNT(*) FROM {$wpdb->options} WHERE option_name = 'siteurl'" );
echo "\\x1e", json_encode( array( 'installed' => is_blog_installed(), 'options' => (int) $count, 'error' => (bool) $wpdb->last_error ) );
"""
# So many children look at pages at the same time.
VISITORS = 2
PAUSE = 1
LONGEST = 1000
WORDPRESS = "WordPress"


class Wrong(Exception):
    """A check's finding."""


class Visitor:
    def __init__(self, params):
        self.params = params
        self.hosts = {urlsplit(params["url"]).hostname, *params["domains"]}

    def page(self, path, status=200):
        url = urljoin(self.params["url"] + "/", path)
        page = fetch(url, self.hosts, self.params["login"])
        if pages.is_installer(page.url):
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
            raise Wrong("it is `%s` and not HTML" % page.headers.get("Content-Type", "nothing")[:100])
        text = pages.spoken(page.body)
        if pages.is_installer(text):
            raise Wrong("it is the installer: WordPress is not installed")
        complaint = pages.complaint(text)
        if complaint:
            raise Wrong("it says `%s`" % complaint)

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


def wordpress(params, seconds):
    site = Site(params["system"], params["root"], params["php"], None)
    try:
        answer = site.evaluate(ASK, {}, timeout=seconds)
    except Failed as error:
        raise Wrong(str(error))
    if not isinstance(answer, dict) or answer.get("installed") is not True:
        raise Wrong("WordPress is not installed")
    if answer.get("error") is not False or answer.get("options") != 1:
        raise Wrong("the database does not answer a query")


def attempt(check, timeout):
    """The finding of a check, or None, and how long it took; one more try in its time, for what was being reloaded.

    `check` gets the seconds that it has left.
    """
    begin = time.monotonic()
    finding = None
    for pause in (0, PAUSE):
        left = timeout + pause - (time.monotonic() - begin)
        if left <= pause:
            break
        time.sleep(pause)
        try:
            check(left - pause)
            finding = None
            break
        except Late as late:
            finding = str(late)
            break
        except (Wrong, Unreachable) as wrong:
            finding = str(wrong)
    return finding, round(time.monotonic() - begin, 3)


def visit(checks, timeout, tell):
    """Carries out the checks of pages, and tells what came out of each."""
    for number, check in checks:

        def timed(seconds, check=check):
            with within(seconds):
                check()

        finding, seconds = attempt(timed, timeout)
        tell(json.dumps([number, seconds, finding and finding[:LONGEST]]))


def told(lines, count):
    """What children told, by the number of the check: its seconds and its finding."""
    found = {}
    for line in lines:
        try:
            number, seconds, finding = json.loads(line)
        except (ValueError, TypeError, RecursionError):
            continue
        whole = type(number) is int and 0 <= number < count and isinstance(seconds, (int, float))
        if whole and (finding is None or isinstance(finding, str)):
            found[number] = (seconds, finding and finding[:LONGEST])
    return found


def serve(request, listener):
    params = request["options"]
    timeout = params["timeout"]
    begin = time.monotonic()
    todo = [(name, urljoin(params["url"] + "/", path), check) for name, path, check in Visitor(params).checks()]
    shares = [list(enumerate(check for _, _, check in todo))[start::VISITORS] for start in range(VISITORS)]
    # One deadline for all of it: each check's own time and pause, one after the other, and no more.
    deadline = begin + (timeout + PAUSE) * len(shares[0]) + PAUSE
    children = [
        Child(lambda tell, share=share: visit(share, timeout, tell), timeout * len(share) + PAUSE)
        for share in shares
        if share
    ]
    try:
        answer = attempt(lambda seconds: wordpress(params, max(1, seconds)), timeout)
    finally:
        lines = collect(children, deadline, listener)
    if is_abandoned(listener):
        return {"failed": True, "changed": False, "msg": "nobody waits for this check any more"}
    found = told([line for child in lines for line in child], len(todo))
    findings, seconds = [], {}
    for number, (name, url, _) in enumerate(todo):
        took, finding = found.get(number, (round(time.monotonic() - begin, 3), "the look at it ended without an answer"))
        seconds[url] = took
        if finding is not None:
            findings.append({"check": name, "url": url, "finding": finding})
    finding, seconds[WORDPRESS] = answer
    if finding is not None:
        findings.append({"check": WORDPRESS, "url": None, "finding": finding[:LONGEST]})
    result = {"changed": False, "findings": findings, "checks": seconds}
    if findings:
        lines = ["%s%s: %s" % (f["check"], " `%s`" % f["url"] if f["url"] else "", f["finding"]) for f in findings]
        result.update(failed=True, code="HEALTH_CHECK_FAILED", msg="; ".join(lines))
    return result
