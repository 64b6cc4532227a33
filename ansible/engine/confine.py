"""Confines a play, before it is let in, to its own directory and its own node.

What it may reach is decided by Pressluft, which makes the ruleset of Landlock and the filter of system calls. Here both are
entered, and as root the play becomes a user of its own, who owns nothing but the play's directory. That user may read
what root may, because Pressluft's directories are root's; Landlock says which files.

Whatever cannot be done here ends the play before it begins.
"""

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import termios

import semaphores

LANDLOCK_RESTRICT_SELF = 446
PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
# Rights are neither lost nor won with a user, and `access` looks at those that there are. All locked.
SECURE_BITS = 0b11001111
CAPABILITY_VERSION = 0x20080522
CAP_DAC_READ_SEARCH = 2
INSTRUCTION_SIZE = 8
# Far more than a play needs, and far less than would be missed: bytes of memory, bytes of one file, processes of a user.
MEMORY = 4 << 30
FILE = 1 << 30
PROCESSES = 256

libc = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


class CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class Capabilities(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


class Confinement:
    """What Pressluft says: `ruleset`, a descriptor or None; `calls`, a filter or nothing; `first_user`, a number or None."""

    def __init__(self, ruleset, calls, first_user):
        self.ruleset = ruleset
        self.calls = calls
        self.first_user = first_user

    def enter(self, directory):
        """Confines this process and its children; `directory` is the play's own."""
        parent = os.getppid()
        semaphores.install()
        leave_terminal()
        if self.first_user is not None:
            become_user(self.first_user + os.getpid(), directory)
            limit(resource.RLIMIT_NPROC, PROCESSES)
        die_together(parent)
        limit(resource.RLIMIT_AS, MEMORY)
        limit(resource.RLIMIT_FSIZE, FILE)
        checked("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1))
        if self.ruleset is not None:
            checked("landlock", libc.syscall(LANDLOCK_RESTRICT_SELF, self.ruleset, 0))
            os.close(self.ruleset)
        if self.calls:
            text = ctypes.create_string_buffer(self.calls, len(self.calls))
            program = Program(len(self.calls) // INSTRUCTION_SIZE, ctypes.addressof(text))
            checked("seccomp", libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(program)))


def become_user(user, directory):
    """Becomes the user with this number, who owns `directory` from now on, and may read but not write what root may."""
    for folder, folders, files in os.walk(directory):
        for path in [folder] + [os.path.join(folder, name) for name in folders + files]:
            os.chown(path, user, user, follow_symlinks=False)
    checked("securebits", prctl(PR_SET_SECUREBITS, SECURE_BITS))
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    readable = 1 << CAP_DAC_READ_SEARCH
    data = (Capabilities * 2)(Capabilities(readable, readable, 0), Capabilities(0, 0, 0))
    checked("capset", libc.capset(ctypes.byref(CapabilityHeader(CAPABILITY_VERSION, 0)), data))


def leave_terminal():
    """Whoever has a terminal can type into it, for the shell that reads from it."""
    with contextlib.suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.ioctl(terminal, termios.TIOCNOTTY)
        finally:
            os.close(terminal)


def die_together(parent):
    """Has the kernel end this process with its guard, and each that it forks with this one.

    Ansible would end its workers by itself, but where signals are refused it cannot. The kernel forgets this with the
    user, so it comes after that.
    """

    def ask(parent):
        checked("pdeathsig", prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        if os.getppid() != parent:
            raise OSError("the parent process is gone")

    def in_child():
        try:
            ask(forking[0])
        except OSError:
            os._exit(1)
        forking[0] = os.getpid()

    ask(parent)
    forking = [os.getpid()]
    os.register_at_fork(after_in_child=in_child)


def limit(what, most):
    """Lowers a limit; one that is lower already stays."""
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def prctl(option, value):
    return libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def checked(what, result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, "cannot confine the play (%s): %s" % (what, os.strerror(number)))
