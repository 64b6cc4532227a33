"""Facts of the node that this runs on, from files and system calls."""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import socket
import struct

DPKG_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# The names of systemd-detect-virt, by what the firmware calls the machine.
VENDORS = (
    ("KVM", "kvm"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VirtualBox", "oracle"),
    ("innotek", "oracle"),
    ("Xen", "xen"),
    ("Microsoft Corporation", "microsoft"),
    ("Amazon EC2", "amazon"),
    ("Google", "google"),
    ("Hetzner", "kvm"),
    ("DigitalOcean", "kvm"),
    ("OpenStack", "kvm"),
)


def facts():
    """All facts as one dictionary that JSON can carry."""
    release = os_release(read("/etc/os-release") or read("/usr/lib/os-release") or "")
    machine = os.uname().machine
    ipv4, ipv6 = addresses()
    disk = os.statvfs("/var")
    return {
        "distribution": release.get("ID", ""),
        "version": release.get("VERSION_ID", ""),
        "codename": release.get("VERSION_CODENAME", ""),
        "architecture": DPKG_ARCHITECTURES.get(machine, machine),
        "kernel": os.uname().release,
        "memory_bytes": memory_bytes(),
        "cpus": len(os.sched_getaffinity(0)),
        "machine_id": (read("/etc/machine-id") or "").strip(),
        "hostname": os.uname().nodename,
        "python": platform.python_version(),
        "control_address": control_address(),
        "ipv4": ipv4,
        "ipv6": ipv6,
        "virtualization": virtualization(),
        "systemd": os.path.isdir("/run/systemd/system"),
        "disk_free_bytes": disk.f_bavail * disk.f_frsize,
    }


def read(path):
    """The text of a file, or None when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return None


def os_release(text):
    """The assignments of an os-release file, without their quotes."""
    values = {}
    for line in text.splitlines():
        key, separator, value = line.strip().partition("=")
        if not separator or key.startswith("#"):
            continue
        try:
            words = shlex.split(value)
        except ValueError:
            continue
        values[key] = words[0] if words else ""
    return values


def control_address():
    """The address that the SSH session comes from, or None without one.

    sudo takes the variable away, so the processes above are asked too.
    """
    connection = os.environ.get("SSH_CONNECTION")
    process = os.getppid()
    while not connection and process > 1:
        for entry in (read("/proc/%d/environ" % process) or "").split("\0"):
            if entry.startswith("SSH_CONNECTION="):
                connection = entry.partition("=")[2]
        # The name in parentheses may itself hold spaces and parentheses.
        status = (read("/proc/%d/stat" % process) or "").rpartition(")")[2].split()
        process = int(status[1]) if len(status) > 1 else 0
    address = (connection or "").partition(" ")[0].partition("%")[0]
    # What does not come through the network comes from a place without an address.
    return address if is_address(address) else None


def is_address(text):
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False


def memory_bytes():
    """The memory that processes can use: the machine's, or less inside of a limited container."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = (read("/sys/fs/cgroup/memory.max") or "").strip()
    return min(total, int(limit)) if limit.isdigit() else total


def virtualization():
    """What systemd-detect-virt would print, or `none`."""
    container = (read("/run/systemd/container") or "").strip()
    if container:
        return container
    if os.path.exists("/.dockerenv"):
        return "docker"
    vendor = " ".join(
        read("/sys/class/dmi/id/%s" % name) or ""
        for name in ("product_name", "sys_vendor", "board_vendor", "bios_vendor")
    )
    for mark, name in VENDORS:
        if mark in vendor:
            return name
    if os.path.isdir("/proc/xen"):
        return "xen"
    if " hypervisor" in (read("/proc/cpuinfo") or ""):
        return "vm-other"
    return "none"


class _Address(ctypes.Structure):
    pass


_Address._fields_ = [
    ("next", ctypes.POINTER(_Address)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
    ("netmask", ctypes.c_void_p),
    ("destination", ctypes.c_void_p),
    ("data", ctypes.c_void_p),
]


def addresses():
    """The IPv4 and IPv6 addresses of all interfaces, without loopback and link-local ones."""
    library = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(_Address)()
    if library.getifaddrs(ctypes.byref(first)) != 0:
        return [], []
    found = {socket.AF_INET: [], socket.AF_INET6: []}
    try:
        entry = first
        while entry:
            text, family = _text_of(entry.contents.address)
            if text is not None and text not in found[family]:
                found[family].append(text)
            entry = entry.contents.next
    finally:
        library.freeifaddrs(first)
    ipv4 = [text for text in found[socket.AF_INET] if not text.startswith(("127.", "169.254."))]
    ipv6 = [text for text in found[socket.AF_INET6] if text != "::1" and not text.startswith("fe80:")]
    return ipv4, ipv6


def _text_of(address):
    if not address:
        return None, None
    family = struct.unpack("=H", ctypes.string_at(address, 2))[0]
    if family == socket.AF_INET:
        return socket.inet_ntop(family, ctypes.string_at(address + 4, 4)), family
    if family == socket.AF_INET6:
        return socket.inet_ntop(family, ctypes.string_at(address + 8, 16)), family
    return None, None
