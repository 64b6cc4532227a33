"""Asking the web server of this node for a page, as a visitor of the site would."""

from __future__ import annotations

import base64
import http.client
import signal
import socket
import ssl
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit

LARGEST = 1 << 20
REDIRECTS = 5
PORTS = {"http": 80, "https": 443}


class Page:
    """An answer: where it came from, its status, its type, the beginning of its body."""

    def __init__(self, url, status, headers, body):
        self.url = url
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def is_html(self):
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html"


class Unreachable(Exception):
    """There is no answer to judge; the message says why."""


class Late(Unreachable):
    """There was none in time; another try would take as long."""


# An address of this node that no site may use; vhosts with a list of addresses let it in.
SOURCE = "127.0.0.2"


class LocalConnection(http.client.HTTPConnection):
    """Connects to this node whatever the name stands for in the DNS."""

    def __init__(self, parts):
        super().__init__(parts.hostname, PORTS[parts.scheme])
        self.tls = parts.scheme == "https"

    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.port), source_address=(SOURCE, 0))
        if self.tls:
            # The node asks itself; whether the certificate is trusted elsewhere is another check.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


@contextmanager
def within(seconds):
    """Raises `Late` in what takes longer in all, however it divides its time."""

    def late(number, frame):
        raise Late("there is no whole answer within %g s" % seconds)

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fetch(url, hosts, login=None):
    """The page at `url`, after redirects that stay on the site's own `hosts` and on the web server.

    Raises `Unreachable`.
    """
    for _ in range(REDIRECTS + 1):
        page = _get(url, login)
        location = page.headers.get("Location")
        if page.status not in (301, 302, 303, 307, 308) or not location:
            return page
        url = _allowed(url, location, hosts)
    raise Unreachable("it redirects more than %d times" % REDIRECTS)


def _allowed(url, location, hosts):
    """The address that a redirect leads to; not every service that listens on the node is the site."""
    try:
        url = urljoin(url, location)
        parts = urlsplit(url)
        port, scheme = parts.port, parts.scheme
    except ValueError:
        raise Unreachable("it redirects to `%s`, which is no address" % location[:200])
    if parts.hostname not in hosts:
        raise Unreachable("it redirects to `%s`, which is not this site" % str(parts.hostname)[:200])
    if scheme not in PORTS or port not in (None, PORTS[scheme]):
        raise Unreachable("it redirects to `%s`, which is not the web server" % url[:200])
    return url


def _get(url, login):
    parts = urlsplit(url)
    path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    headers = {"User-Agent": "pressluft-health", "Accept": "text/html,*/*", "Connection": "close"}
    if login is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode("utf-8")).decode("ascii")
    connection = LocalConnection(parts)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read(LARGEST).decode("utf-8", "replace")
        return Page(url, response.status, response.headers, body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable("there is no answer: %s" % (str(error)[:300] or type(error).__name__))
    finally:
        connection.close()
