"""Keeps Ansible loaded and forks a process for each play, so that no play pays for loading it.

Pressluft sends each job as one message on descriptor 3: JSON, and the descriptors of the job. Two processes come of it:

* the guard, a child of this one, which at once becomes `pressluft supervise --adopt`: it watches over the play as it
  does when `ansible-playbook` is started by itself, and is the process that Pressluft records and stops;
* the play, a child of the guard. It makes ready, says so, and begins when Pressluft has written to its gate. When the
  gate closes instead, it ends without having done anything.

So a job that was not let in has not begun, and whoever dies, nothing of it goes on: the guard ends the play when
Pressluft closes its input or dies; the kernel tells the play when the guard dies, and this process ends what is left.
This process ends with Pressluft's thread that started it, and jobs do not need it any more once they are forked.
"""

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys

import confine
import preload

REQUESTS_FD = 3
EVENTS_FD = 3
NODE_FD = 4
LONGEST_REQUEST = 256 * 1024
NOT_STARTED = 127
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

libc = ctypes.CDLL(None, use_errno=True)


def prctl(option, value):
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


class Job:
    """A request: what to run, and the descriptors that came with it."""

    def __init__(self, message, fds):
        self.fds = fds
        # What the guard reads, what guard and play report on, what the play prints and tells, what lets it in, and its
        # way to the node; where the kernel has one, the ruleset that confines the play.
        self.control, self.status, self.output, self.events, self.gate, self.node, *more = fds
        self.ruleset = more[0] if more else None
        self.calls = bytes.fromhex(message["calls"])
        self.first_user = message["first_user"]
        self.argv = message["argv"]
        self.environment = message["environment"]
        self.directory = message["directory"]
        self.supervisor = message["supervisor"]
        self.grace = message["grace_ms"]

    def report(self, text):
        """Tells Pressluft; when it does not listen any more, the job ends by itself."""
        with contextlib.suppress(OSError):
            os.write(self.status, text.replace("\n", " ").encode("utf-8", "replace") + b"\n")

    def close(self):
        for fd in self.fds:
            os.close(fd)


class Server:
    def __init__(self, requests):
        self.requests = requests
        self.environment = dict(os.environ)
        self.guards = set()

    def serve(self):
        """Answers requests until Pressluft closes its end; then there is nothing to return.

        In the process of a play it returns the job.
        """
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGCHLD, lambda *_: self.reap())
        self.requests.send(b"ready")
        while True:
            data, fds, _, _ = socket.recv_fds(self.requests, LONGEST_REQUEST, 8)
            if not data:
                return None
            message = json.loads(data)
            if "kill" in message:
                self.kill(message["kill"])
                continue
            job = Job(message, fds)
            different = self.difference(job.environment)
            if different:
                job.report("refused the settings differ in %s" % ", ".join(different))
            elif self.fork(job):
                return job
            job.close()

    def fork(self, job):
        """Starts the two processes of a job. True in that of the play, False here."""
        # Until the guard is known to be one, it must not be taken for a stray.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        try:
            pid = os.fork()
            if pid == 0:
                guard(job)
                self.requests.detach()
                return True
            self.guards.add(pid)
        except OSError as error:
            job.report("refused cannot fork: %s" % error.strerror)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        return False

    def difference(self, environment):
        """The names of variables that were needed when Ansible was loaded, and are different now."""
        names = (set(environment) | set(self.environment)) - preload.JOB_VARIABLES
        return sorted(name for name in names if environment.get(name) != self.environment.get(name))

    def kill(self, pid):
        """Ends a guard that does not end by itself; what it watched over comes to us."""
        if pid in self.guards:
            os.kill(pid, signal.SIGKILL)

    def reap(self):
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                self.guards.discard(pid)
        # A guard ends after its play. What is left here lost its guard; its own children come here in their turn.
        for pid in children():
            if pid not in self.guards:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def children():
    """The processes whose parent this is; none where the kernel does not list them."""
    try:
        with open("/proc/thread-self/children", encoding="ascii") as stream:
            return [int(word) for word in stream.read().split()]
    except FileNotFoundError:
        return []


def guard(job):
    """Becomes the program that watches over the play; returns in the process of the play only."""
    own = os.getpid()
    play = None
    try:
        os.setpgid(0, 0)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        play = os.fork()
        if play == 0:
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() == own:
                return
        else:
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            # The play does the same: whoever comes first.
            with contextlib.suppress(OSError):
                os.setpgid(play, play)
            place({0: job.control, 1: job.status, 2: job.output})
            words = ["pressluft", "supervise", "--adopt", str(play), "--grace-ms", str(job.grace), "--"]
            # The command is there to be seen in the list of processes.
            os.execve(job.supervisor, words + job.argv, job.environment)
    except BaseException as error:
        os.write(2, ("cannot watch over a play: %r\n" % error).encode())
    if play:
        os.kill(play, signal.SIGKILL)
    os._exit(NOT_STARTED)


def prepare(job, settings):
    """Makes this process what Python would be had it just been started for the job, and waits to be let in."""
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        preload.forget_own_directory()
        standard = {0: os.open(os.devnull, os.O_RDWR), 1: job.output, 2: job.output}
        standard.update({EVENTS_FD: job.events, NODE_FD: job.node})
        kept = [job.status, job.gate] + ([] if job.ruleset is None else [job.ruleset])
        job.status, job.gate, *more = place(standard, *kept)
        os.chdir(job.directory)
        preload.configure(settings, job.environment)
        sys.argv = job.argv
        with open("/proc/self/comm", "w", encoding="ascii") as stream:
            stream.write("ansible-playbook"[:15])
        confine.Confinement(more[0] if more else None, job.calls, job.first_user).enter(job.directory)
    except Exception as error:
        job.report("refused cannot prepare the play: %r" % error)
        os._exit(NOT_STARTED)
    job.report("ready")
    os.close(job.status)
    if os.read(job.gate, 1) != b"g":
        os._exit(NOT_STARTED)
    os.close(job.gate)


def place(targets, *kept):
    """Makes `targets` the only open descriptors besides `kept`, and returns where those are now."""
    room = max(targets) + 1
    # First out of the way of each other.
    moved = {number: _above(fd, room) for number, fd in targets.items()}
    kept = [_above(fd, room) for fd in kept]
    for number, fd in moved.items():
        os.dup2(fd, number, inheritable=True)
    for fd in (int(name) for name in os.listdir("/proc/self/fd")):
        if fd not in targets and fd not in kept:
            with contextlib.suppress(OSError):
                os.close(fd)
    return kept


def _above(fd, room):
    while fd < room:
        fd = os.dup(fd)
    return fd


def main():
    # A shell that starts jobs in the background hands some of these down as ignored.
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    requests = socket.socket(fileno=REQUESTS_FD)
    os.set_inheritable(REQUESTS_FD, False)
    cli = preload.preload()
    settings = preload.settings_of_jobs()
    # What is there now stays; a child that counted its references would copy the memory it is in.
    gc.collect()
    gc.freeze()
    job = Server(requests).serve()
    if job is not None:
        prepare(job, settings)
        cli.PlaybookCLI.cli_executor()


if __name__ == "__main__":
    main()
