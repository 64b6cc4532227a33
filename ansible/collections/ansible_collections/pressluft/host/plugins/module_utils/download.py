"""A download from an address that somebody else wrote: from the internet alone, unless the control plane allows more.

Each name is resolved here, and the connection goes to an address that was looked at. Where the answer leads elsewhere,
that is looked at again.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from urllib.parse import urljoin, urlsplit

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed

# From the first look at the name to the last byte.
DEADLINE = 900
# From one byte to the next.
PATIENCE = 60
REDIRECTS = 5
CHUNK = 1 << 16
# What is no internet, as `src/core/address.rs` has it: a test compares both with `tests/addresses.txt`. What the library
# takes for global is another thing in each version of it, and it does not know what a cloud answers its machines from.
PRIVATE = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.0/24 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 "
        "192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3 "
        "2001::/23 2001:db8::/32 3fff::/20"
    ).split()
]
# All that the internet of version 6 uses so far.
HANDED_OUT = ipaddress.ip_network("2000::/3")
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Absent(Failed):
    """There is nothing at the address, and whoever answers there says so."""


def download(url, target, allowed, largest, seconds=DEADLINE):
    """Writes what is at the address into the stream, in so many seconds."""
    end = time.monotonic() + seconds
    first = url
    for _ in range(REDIRECTS + 1):
        try:
            elsewhere = fetch(url, target, allowed, largest, end)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Failed("`%s` cannot be fetched: %s" % (first, getattr(error, "strerror", None) or error or "no answer"))
        if elsewhere is None:
            return
        if url.startswith("https:") and not elsewhere.startswith("https:"):
            raise Failed("`%s` cannot be fetched: it leads from https to another protocol" % first)
        url = elsewhere
    raise Failed("`%s` cannot be fetched: it leads elsewhere more than %d times" % (first, REDIRECTS))


def fetch(url, target, allowed, largest, end):
    """Writes the answer, or gives the address that it leads to."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("https", "http") or not host or "@" in parts.netloc:
        raise Failed("`%s` is no address to download from" % url)
    connection = connect(parts.scheme, host, parts.port, allowed, end)
    # Whoever sends a byte now and then is never silent for long: in time the connection is closed.
    watch = threading.Timer(max(0, end - time.monotonic()), connection.sock.shutdown, [socket.SHUT_RDWR])
    watch.daemon = True
    watch.start()
    try:
        path = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        connection.request("GET", path, headers={"User-Agent": "pressluft", "Accept-Encoding": "identity"})
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308):
            return urljoin(url, answer.getheader("Location") or "")
        if answer.status in (404, 410):
            raise Absent("`%s` cannot be fetched: it answers with %d" % (url, answer.status))
        if answer.status != 200:
            raise Failed("`%s` cannot be fetched: it answers with %d" % (url, answer.status))
        total = 0
        while True:
            chunk = answer.read1(CHUNK)
            if not chunk:
                break
            total += len(chunk)
            if total > largest:
                raise Failed("`%s` cannot be fetched: it is larger than %d KiB" % (url, largest >> 10))
            target.write(chunk)
        if answer.length:
            raise Failed("`%s` cannot be fetched: the answer ends in the middle" % url)
    finally:
        watch.cancel()
        connection.close()
        if time.monotonic() > end:
            raise Failed("`%s` cannot be fetched: it takes too long" % url)
    return None


def connect(scheme, host, port, allowed, end):
    """A connection to the first of the host's addresses that answers and may be asked."""
    port = port or (443 if scheme == "https" else 80)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    places = [place for place in found if may_ask(host, place[4][0], allowed)]
    if not places:
        raise Failed(
            "`%s` leads to the private address `%s`, which `sources.allow_private` of the control plane does not have"
            % (host, found[0][4][0] if found else "none")
        )
    failure = None
    for family, kind, protocol, _, address in places:
        patience = min(PATIENCE, max(1, end - time.monotonic()))
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(patience)
            plain.connect(address)
            if scheme == "https":
                # A handshake has few messages, each with this patience.
                plain = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except OSError as error:
            plain.close()
            failure = error
            continue
        # The host stands in the request; the socket leads to what was looked at.
        connection = (http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection)(host, port)
        connection.sock = plain
        connection.auto_open = 0
        return connection
    raise failure


def may_ask(host, address, allowed):
    """Whether the address is one of the internet, or one that the control plane allows."""
    ip = canonical(ipaddress.ip_address(address.partition("%")[0]))
    if host.rstrip(".").lower() in allowed:
        return True
    for entry in allowed:
        try:
            network = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            continue
        if ip.version == network.version and ip in network:
            return True
    return not is_private(ip)


def is_private(ip):
    """Whether an address in its `canonical` form is none of the internet."""
    if ip.version == 6 and ip not in HANDED_OUT:
        return True
    return any(ip.version == network.version and ip in network for network in PRIVATE)


def canonical(ip):
    """The address of version 4 behind one of version 6."""
    if ip.version == 4:
        return ip
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip in NAT64:
        return ipaddress.ip_address(int(ip) & 0xFFFFFFFF)
    return ip
