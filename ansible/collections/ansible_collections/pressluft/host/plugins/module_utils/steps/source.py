"""A file that comes from elsewhere: from the control plane, or from an address, with a digest that it must have.

From the control plane it is uploaded only when the node has it not; the digest says so. From an address without a digest
it is fetched once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat

from ansible_collections.pressluft.host.plugins.module_utils.download import download
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed

CHUNK = 1 << 20
LARGEST = 1 << 30


def carry_out(options, node):
    dest, mode = options["dest"], int(options["mode"], 8)
    algorithm, _, wanted = (options["checksum"] or "").partition(":")
    what = differences(dest, mode, algorithm, wanted.lower())
    result = {"changed": bool(what), "changes": ["%s of %s" % (part, dest) for part in what]}
    if not what or node.check_mode:
        # What has no address is given by the control plane, when it is wanted.
        result["needs"] = [wanted] if options["url"] is None and "content" in what else []
        return result
    if "content" not in what:
        os.chown(dest, 0, 0)
        os.chmod(dest, mode)
        return result
    temporary = dest + ".pressluft-new"
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as stream:
            if options["upload"] is not None:
                with open(options["upload"], "rb") as upload:
                    copy(upload, stream)
            else:
                download(options["url"], stream, options["allow_private"], LARGEST)
            stream.flush()
            os.fsync(stream.fileno())
        if options["checksum_url"] is not None:
            algorithm, wanted = published(options["checksum_url"], options["allow_private"])
        if wanted and digest(temporary, algorithm) != wanted.lower():
            raise Failed("`%s` is not what was asked for: its %s is another" % (options["url"] or dest, algorithm.upper()))
        os.chown(temporary, 0, 0)
        os.chmod(temporary, mode)
        os.rename(temporary, dest)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return result


def differences(dest, mode, algorithm, wanted):
    try:
        status = os.lstat(dest)
    except FileNotFoundError:
        return ["content"]
    if not stat.S_ISREG(status.st_mode):
        return ["content"]
    what = ["content"] if wanted and digest(dest, algorithm) != wanted else []
    if (status.st_uid, status.st_gid) != (0, 0):
        what.append("owner")
    if stat.S_IMODE(status.st_mode) != mode:
        what.append("mode")
    return what


def digest(path, algorithm):
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def copy(source, target):
    """Copies a stream that may be endless."""
    total = 0
    while True:
        chunk = source.read(CHUNK)
        if not chunk:
            return
        total += len(chunk)
        if total > LARGEST:
            raise Failed("the file is larger than %d MiB" % (LARGEST >> 20))
        target.write(chunk)


def published(url, allowed):
    """The algorithm and the digest that stand at an address like `….zip.sha1`."""
    import io

    answer = io.BytesIO()
    download(url, answer, allowed, 1 << 16)
    match = re.match(rb"\s*([0-9a-fA-F]{40,128})\b", answer.getvalue())
    if match is None:
        raise Failed("`%s` holds no digest" % url)
    return url.rpartition(".")[2], match.group(1).decode("ascii")
