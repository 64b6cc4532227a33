"""Asking the web server of this node for a page, as a visitor of the site would."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from urllib.parse import urljoin, urlsplit

LARGEST = 4 << 20
REDIRECTS = 5


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


class LocalConnection(http.client.HTTPConnection):
    """Connects to this node whatever the name stands for in the DNS."""

    def __init__(self, parts, timeout):
        super().__init__(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), timeout=timeout)
        self.tls = parts.scheme == "https"

    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        if self.tls:
            # The node asks itself; whether the certificate is trusted elsewhere is another check.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def fetch(url, timeout, hosts, login=None):
    """The page at `url`, after redirects that stay on the site's own `hosts`.

    Raises `Unreachable`.
    """
    for _ in range(REDIRECTS + 1):
        page = _get(url, timeout, login)
        location = page.headers.get("Location")
        if page.status not in (301, 302, 303, 307, 308) or not location:
            return page
        url = urljoin(url, location)
        host = urlsplit(url).hostname
        if host not in hosts:
            raise Unreachable("it redirects to `%s`, which is not this site" % host)
    raise Unreachable("it redirects more than %d times" % REDIRECTS)


def _get(url, timeout, login):
    parts = urlsplit(url)
    path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    headers = {"User-Agent": "pressluft-health", "Accept": "text/html,*/*", "Connection": "close"}
    if login is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode("utf-8")).decode("ascii")
    connection = LocalConnection(parts, timeout)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read(LARGEST).decode("utf-8", "replace")
        return Page(url, response.status, response.headers, body)
    except socket.timeout:
        raise Unreachable("there is no answer within %d s" % timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable("there is no answer: %s" % (error or type(error).__name__))
    finally:
        connection.close()
