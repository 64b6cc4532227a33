"""The release that an environment serves.

Where nothing is served yet, one is built from WordPress's archive or from another environment's release. An environment
that serves a release keeps it; which one is the business of deployments. A release belongs to root, is read by the
environment's group, and is written by nobody. It appears under its name only when it is whole.
"""

from __future__ import annotations

import grp
import os
import zipfile

from ansible_collections.pressluft.host.plugins.module_utils import release, served
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed


def build(params):
    root, group = params["root"], grp.getgrnam(params["group"]).gr_gid
    if params["source"] is not None:
        other = served.current(params["source"])
        if other is None:
            raise Failed("`%s` serves no release" % params["source"])
        name, _ = release.from_release(root, os.path.join(params["source"], "releases", other), group)
    else:
        archive, wanted = params["archive"], params["sha256"]
        present = release.archive_version(archive)
        if params["version"] and present != params["version"]:
            raise Failed("`%s` holds WordPress %s, and the site asks for %s" % (archive, present, params["version"]))
        if wanted and release.digest(archive) != wanted.lower():
            raise Failed("`%s` is not the archive that was asked for: its SHA-256 is another" % archive)
        name, _ = release.from_archive(root, archive, group)
    release.switch(root, name)
    return name


def answer(root, name, changed):
    result = {"changed": changed, "release": name or ""}
    version = served.version(root, name) if name else None
    return result if version is None else dict(result, wordpress_version=version)


def carry_out(options, node):
    name = served.current(options["root"])
    if name is not None or node.check_mode:
        return answer(options["root"], name, name is None)
    try:
        return answer(options["root"], build(options), True)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise Failed("no release could be built: %s" % error)
