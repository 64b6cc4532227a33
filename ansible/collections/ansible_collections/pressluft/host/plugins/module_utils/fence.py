"""The node's side of the fence: one run at a time on a node, and none of a claim that a newer one has replaced.

Every claim of a job has a token that only grows. A run that changes the node holds the node's lock for as long as it
works, and so does every program that it starts, also when the run itself is killed. Under the lock it compares its
token with the highest one that was seen here, and refuses when its own is older: the control plane has given the job
to somebody else meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import stat
import time

from ansible_collections.pressluft.host.plugins.module_utils.process import Failed

# The record survives a reboot, because a control plane that comes back late does too. The lock need not: no program
# of before the reboot is left.
RECORD = "/var/lib/pressluft/fence"
LOCK = "/run/pressluft/fence.lock"
VERSION = 1


class Fenced(Failed):
    """The node is not this run's to change."""

    def __init__(self, message):
        super().__init__(message, code="NODE_FENCED")


class Claim:
    """What a run says about itself: the control plane that it is of, its job and its token."""

    def __init__(self, claim):
        try:
            self.control_plane = claim["control_plane"]
            self.name = claim.get("name") or self.control_plane
            self.token = claim["token"]
            self.job = claim["job"]
        except (TypeError, KeyError, AttributeError):
            raise Fenced("the run brought no fencing token, and nothing changes a node without one")
        words = (self.control_plane, self.name, self.job)
        if type(self.token) is not int or self.token < 1 or not all(isinstance(word, str) and word for word in words):
            raise Fenced("the run brought a fencing token that is none: `%s`" % (self.token,))

    def record(self):
        return {
            "version": VERSION,
            "control_plane": self.control_plane,
            "name": self.name,
            "token": self.token,
            "job": self.job,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }


@contextlib.contextmanager
def held(claim, check_mode=False, timeout=900, record=RECORD, lock=LOCK, listener=1):
    """Holds the node's lock for the claim; yields its descriptor, or None in check mode, which only compares.

    The wait ends when nobody reads from `listener` any more.

    Raises `Fenced` when the node is another claim's, and `Failed` when the lock is not free within `timeout` seconds.
    """
    claim = Claim(claim)
    if check_mode:
        _compare(claim, _read(record), record)
        yield None
        return
    private_directory(os.path.dirname(lock))
    private_directory(os.path.dirname(record))
    fd = _locked(lock, claim, timeout, listener)
    try:
        found = _read(record)
        _compare(claim, found, record)
        if found is None or (found["token"], found["job"]) != (claim.token, claim.job):
            _write(record, claim.record())
        yield fd
    finally:
        os.close(fd)


def is_abandoned(fd):
    """Whether nobody waits for the answer any more: the connection of this run is gone."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def private_directory(path):
    """Makes sure that only root can reach what is in the directory."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (0, os.geteuid()):
            raise Failed(
                "`%s` is not a directory that root owns; the machine of a control plane cannot be its node" % path
            )
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.chmod(path, 0o700)
    except OSError as error:
        raise Failed("cannot make `%s`: %s" % (path, error.strerror))


def _compare(claim, found, path):
    if found is None:
        return
    cure = "if nothing of it runs any more, remove `%s` on the node" % path
    seen = "job %s of %s" % (found["job"], found["at"])
    if found["control_plane"] != claim.control_plane:
        raise Fenced("another control plane works on this node: `%s`, %s; %s" % (found["name"], seen, cure))
    if claim.token < found["token"]:
        raise Fenced(
            "this run's claim is over: its token is %d, and %s has come with %d since; "
            "when the control plane's database was lost, remove `%s` on the node"
            % (claim.token, seen, found["token"], path)
        )
    if claim.token == found["token"] and claim.job != found["job"]:
        raise Fenced(
            "token %d was of %s already: two copies of one control plane work on this node; %s" % (claim.token, seen, cure)
        )


def _read(path):
    try:
        with open(path, "rb") as stream:
            content = stream.read(4096)
    except FileNotFoundError:
        return None
    try:
        found = json.loads(content)
        whole = found["version"] == VERSION and type(found["token"]) is int
        if whole and all(isinstance(found[key], str) for key in ("control_plane", "name", "job", "at")):
            return found
    except (ValueError, KeyError, TypeError):
        pass
    # To go on would be to let in what it keeps out.
    raise Fenced(
        "`%s` is damaged, so which claims are over is not known; when no job runs on this node, remove it" % path
    )


def _write(path, content):
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(fd)
    os.rename(path + ".new", path)
    fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _locked(path, claim, timeout, listener):
    deadline = time.monotonic() + timeout
    pause = 0.02
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if _try_lock(fd, path):
                os.ftruncate(fd, 0)
                os.pwrite(fd, json.dumps(dict(claim.record(), pid=os.getpid())).encode("utf-8"), 0)
                return fd
            if is_abandoned(listener):
                # Whoever asked for this run is gone; it must not begin once the lock is free.
                raise Failed("nobody waits for this run any more")
            if time.monotonic() >= deadline:
                raise Failed("Timed out after %d s of waiting for the node's lock: %s" % (timeout, _holder(fd)))
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def _try_lock(fd, path):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # Somebody may have removed the file meanwhile; a lock on a file without a name keeps nobody out.
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), status)


def _holder(fd):
    """Who holds the lock, for people: what it wrote there, and the programs of it that run."""
    try:
        holder = json.loads(os.pread(fd, 4096, 0))
        text = "job %s of `%s` holds it since %s (pid %d)" % (holder["job"], holder["name"], holder["at"], holder["pid"])
    except (ValueError, KeyError, TypeError):
        text = "its holder is not known"
    running = ["%d `%s`" % (pid, command) for pid, command in _programs(os.fstat(fd))]
    return "%s; what runs: %s" % (text, ", ".join(running)) if running else text


def _programs(lock):
    """The processes that have the lock's file open, and the first words of their commands."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            fds = os.listdir("/proc/%s/fd" % name)
            if not any(_is(lock, "/proc/%s/fd/%s" % (name, number)) for number in fds):
                continue
            with open("/proc/%s/cmdline" % name, "rb") as stream:
                words = stream.read(4096).decode("utf-8", "replace").split("\0")
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESRCH, errno.EACCES):
                continue
            raise
        # What comes behind the script is the program that the shell stands guard over.
        yield int(name), " ".join(words[4:7] if words[:2] == ["/bin/sh", "-c"] else words[:2])


def _is(status, path):
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:
        return False
