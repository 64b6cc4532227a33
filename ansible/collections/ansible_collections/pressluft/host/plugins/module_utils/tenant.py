"""Running programs that interpret what a tenant wrote: its PHP and WP-CLI, its files, its dumps.

Such a program runs as the environment's own user in a transient unit, with limits of memory, processes and time, and
sees nothing of other sites. What it prints is read up to a bound. When it ends, or its time is over, the service
manager kills everything that is left in the unit, also what stopped itself or left its session, so nothing of it
holds the node's lock. Limits of the kernel for each process stand beside those of the unit, for machines that have no
control groups to give.

Nothing that the site can write configures these programs: their home does not exist, their temporary directory is their
own and new, and they start in it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess

from ansible_collections.pressluft.host.plugins.module_utils.process import PATH, Failed, finish
from ansible_collections.pressluft.host.plugins.module_utils.process import end as end_group
from ansible_collections.pressluft.host.plugins.module_utils.process import start as start_guarded

MANAGER = "/run/systemd/system"
MEMORY = 640 << 20
# What a process may address is more than what it may use: PHP maps its libraries first.
ADDRESSES = 1280 << 20
TASKS = 64
# Of each process, by the names that the kernel has for them. They hold however a program is started.
LIMITS = {
    "AS": ADDRESSES,
    # Counts all processes of the user, those of its web pages too.
    "NPROC": 512,
    # A connection to the database is one of them, also before anybody has logged in.
    "NOFILE": 256,
    # A log of holes would keep those who read it for hours.
    "FSIZE": 8 << 30,
    "CORE": 0,
}
# On each of the two streams.
MOST = 1 << 20
# How long after its time is over the service manager waits for us to end a program.
GRACE = 5
HOME = "/nonexistent"
VARIABLES = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": HOME,
    "TMPDIR": "/tmp",
    "PAGER": "cat",
    "WP_CLI_CONFIG_PATH": "/dev/null",
    "WP_CLI_PACKAGES_DIR": HOME,
    "WP_CLI_CACHE_DIR": HOME,
    "WP_CLI_DISABLE_AUTO_CHECK_UPDATE": "1",
}
CONFINED = [
    "MemoryMax=%d" % MEMORY,
    "MemorySwapMax=0",
    "TasksMax=%d" % TASKS,
    "CPUWeight=20",
    "IOWeight=20",
    "OOMScoreAdjust=500",
    *("Limit%s=%d" % limit for limit in LIMITS.items()),
    # What is left when the program ends is killed at once.
    "KillSignal=SIGKILL",
    "TimeoutStopSec=%d" % GRACE,
    "UMask=0027",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateIPC=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "ProtectProc=invisible",
    "ProcSubset=pid",
    "ProtectControlGroups=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectHostname=yes",
    "ProtectClock=yes",
    "RestrictSUIDSGID=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "LockPersonality=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "SystemCallErrorNumber=EPERM",
    # Of these places only what is bound is there: what the program is for, and the services that it asks.
    "TemporaryFileSystem=/var:ro /run:ro /etc/pressluft:ro /dev/shm",
    "BindReadOnlyPaths=-/run/mysqld -/run/systemd/resolve",
    "InaccessiblePaths=-/etc/nginx -/etc/systemd -/etc/cron.d -/etc/ssh -/etc/sudoers.d -/etc/logrotate.d -/etc/redis",
    "InaccessiblePaths=-/etc/mysql -/etc/fail2ban -/etc/nftables.d -/etc/letsencrypt",
    "InaccessiblePaths=-/sys/fs/cgroup -/boot -/srv -/mnt -/media",
]


class Tenant:
    """Whose program it is: the user, and the directory of its environment."""

    def __init__(self, system, root):
        self.system = system
        self.root = root


def settings(tenant):
    """Where an environment's settings of PHP are."""
    return "/etc/pressluft/php/" + tenant.system


def start(tenant, argv, seconds, writable=(), network=False, **streams):
    """A `Popen` of a program that `end` ends; it may take `seconds` and write below the paths `writable`."""
    if not os.path.isdir(MANAGER):
        return _start_plain(tenant, argv, **streams)
    unit = "pressluft-run-%s.service" % secrets.token_hex(8)
    properties = CONFINED + [
        "User=%s" % tenant.system,
        "Group=%s" % tenant.system,
        "WorkingDirectory=/tmp",
        "RuntimeMaxSec=%d" % (seconds + GRACE),
        "BindReadOnlyPaths=%s -%s -/run/pressluft-redis/%s" % (tenant.root, settings(tenant), tenant.system),
    ]
    if not network:
        properties.append("PrivateNetwork=yes")
    properties += ["ReadWritePaths=-%s" % path for path in writable]
    command = ["systemd-run", "--quiet", "--collect", "--pipe", "--wait", "--service-type=exec", "--unit=" + unit]
    command += ["--description=A program of %s" % tenant.system]
    command += ["--property=" + text for text in properties]
    # The settings of PHP that every way of starting it has; without them it has the system's alone.
    variables = dict(VARIABLES, PHP_INI_SCAN_DIR=":" + settings(tenant))
    command += ["--setenv=%s=%s" % pair for pair in variables.items()]
    # The service manager would put variables in the place of such words.
    words = [word.replace("$", "$$") for word in argv]
    process = start_guarded(command + ["--"] + words, cwd="/", **streams)
    process.unit = unit
    return process


def start_client(tenant, argv, **streams):
    """A `Popen` of a program of ours that only talks to the database: as the user, and without a unit.

    It sees the node as root does. With a right that the site's own programs lack, and that the kernel asks for nowhere,
    none of them can look through it.
    """
    return _start_plain(tenant, argv, ["--inh-caps=+net_broadcast", "--ambient-caps=+net_broadcast"], **streams)


def _start_plain(tenant, argv, rights=(), **streams):
    limits = ["--%s=%d" % (name.lower(), limit) for name, limit in LIMITS.items()]
    command = ["prlimit"] + limits + ["setpriv", "--reuid", tenant.system, "--regid", tenant.system, "--init-groups"]
    command += [*rights, "--no-new-privs", "--"] + argv
    process = start_guarded(command, cwd="/", env=dict(VARIABLES, PATH=PATH), **streams)
    process.unit = None
    return process


def end(process):
    """Ends a program and all that it has started, wherever that has gone."""
    if process.unit is not None:
        _stop(process.unit)
    end_group(process, gently=False)
    if process.unit is not None:
        # It may have been about to begin.
        _stop(process.unit)


def _stop(unit):
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        quiet = subprocess.DEVNULL
        subprocess.run(
            ["systemctl", "stop", "--", unit], stdin=quiet, stdout=quiet, stderr=quiet, timeout=4 * GRACE, check=False
        )


def run(tenant, argv, stdin=None, timeout=300, check=True, label=None, most=MOST, writable=(), network=False):
    """The completed process, its output as text. Raises `Failed` as `process.run` does, and when it prints too much."""
    label = label or argv[0]
    pipe = subprocess.PIPE
    try:
        process = start(tenant, argv, timeout, writable, network, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise Failed("`%s` cannot be run: %s" % (label, error.strerror or error))
    return finish(process, stdin, timeout, check, label, most, end)
