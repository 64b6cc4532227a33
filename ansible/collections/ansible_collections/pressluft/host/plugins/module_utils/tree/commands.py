"""Running validators and handlers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

from ansible_collections.pressluft.host.plugins.module_utils.process import start

OUTPUT_LIMIT = 4096
VALIDATOR_TIMEOUT = 30
HANDLER_TIMEOUT = 600


class Outcome:
    def __init__(self, argv, rc, output, seconds):
        self.argv = argv
        self.rc = rc
        self.output = output
        self.seconds = seconds


def run(argv, timeout, censor):
    """The `Outcome` of one command, with the last 4 KiB of what it printed.

    The output goes to a file and not through a pipe: a daemon that the command
    leaves behind would hold the pipe open.
    """
    import tempfile

    begin = time.monotonic()
    environment = dict(os.environ, LC_ALL="C.UTF-8", LANG="C.UTF-8")
    with tempfile.TemporaryFile() as output:
        try:
            process = start(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd="/", env=environment
            )
        except OSError as error:
            return Outcome(list(argv), 127, "`%s` cannot be run: %s" % (argv[0], error.strerror), 0.0)
        note = ""
        try:
            rc = process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            rc = process.wait()
            note = "\nkilled after %d s" % timeout
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - OUTPUT_LIMIT))
        text = output.read().decode("utf-8", "replace") + note
    return Outcome(list(argv), rc, censor(text), round(time.monotonic() - begin, 3))


def censor_of(tree):
    """A function that takes everything out of a text that a sensitive item contains.

    Validators quote the lines that they complain about.
    """
    words = set()
    for item in tree.items:
        if not item.sensitive:
            continue
        text = item.content.decode("utf-8", "replace")
        words.update(line.strip() for line in text.splitlines() if len(line.strip()) >= 6)
        words.update(word for word in re.split(r"[\s'\"`=:,;(){}<>]+", text) if len(word) >= 8)
    longest_first = sorted(words, key=len, reverse=True)

    def censor(text):
        for word in longest_first:
            if word in text:
                text = text.replace(word, "(sensitive)")
        return text

    return censor
