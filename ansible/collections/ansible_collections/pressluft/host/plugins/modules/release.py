#!/usr/bin/python
"""Have an environment serve a release."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: release
short_description: Have an environment serve a release
version_added: "0.1.0"
description:
  - Where nothing is served yet, builds a release from WordPress's archive or from another environment's release, and
    switches to it. An environment that serves a release keeps it; which one is the business of deployments.
  - A release belongs to root, is read by the environment's group, and is written by nobody. It appears under its name
    only when it is whole.
options:
  root:
    description: The environment's directory.
    type: path
    required: true
  state_dir:
    description: Root's own directory of the environment.
    type: path
    required: true
  group:
    description: The environment's group.
    type: str
    required: true
  archive:
    description: WordPress's own zip on the node.
    type: path
  sha256:
    description: What the archive must be.
    type: str
  version:
    description: The version of WordPress that the archive must hold.
    type: str
  source:
    description: The directory of the environment whose release is copied.
    type: path
attributes:
  check_mode:
    support: full
    description: Predicts that a release is built.
author:
  - The Pressluft authors (@pressluft)
"""

EXAMPLES = r"""
- name: Serve WordPress
  pressluft.host.release:
    root: /var/www/sites/acme/production
    state_dir: /var/lib/pressluft/sites/acme/production
    group: wp_acme_production
    archive: /var/lib/pressluft/cache/wordpress.zip
    sha256: "{{ pressluft.wordpress.sha256 }}"
"""

RETURN = r"""
release:
  description: The release that is served.
  returned: always
  type: str
  sample: wordpress-6.8.2-0f1e2d3c4b5a
"""

import grp
import os
import zipfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pressluft.host.plugins.module_utils import release
from ansible_collections.pressluft.host.plugins.module_utils.lock import locked
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed


def build(params):
    root, group = params["root"], grp.getgrnam(params["group"]).gr_gid
    if params["source"] is not None:
        served = release.current(params["source"])
        if served is None:
            raise Failed("`%s` serves no release" % params["source"])
        name, _ = release.from_release(root, os.path.join(params["source"], "releases", served), group)
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


def main():
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "state_dir": {"type": "path", "required": True},
            "group": {"type": "str", "required": True},
            "archive": {"type": "path"},
            "sha256": {"type": "str"},
            "version": {"type": "str"},
            "source": {"type": "path"},
        },
        mutually_exclusive=[("archive", "source")],
        required_one_of=[("archive", "source")],
        supports_check_mode=True,
    )
    params = module.params
    served = release.current(params["root"])
    if served is not None or module.check_mode:
        module.exit_json(changed=served is None, release=served or "")
    try:
        with locked(params["state_dir"]):
            served = release.current(params["root"]) or build(params)
        module.exit_json(changed=True, release=served)
    except (Failed, OSError, KeyError, zipfile.BadZipFile) as error:
        module.fail_json(msg="no release could be built: %s" % error)


if __name__ == "__main__":
    main()
