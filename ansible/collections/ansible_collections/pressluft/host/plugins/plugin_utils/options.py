"""The options of each kind of step, and of the programs that only read."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

TEXT = {"type": "str", "required": True}
OPTIONAL = {"type": "str"}
ENVIRONMENT = {"system": TEXT, "root": TEXT, "php": TEXT, "url": TEXT}
PASSWORD = {"type": "str", "required": True, "no_log": True}
DATABASE = dict(ENVIRONMENT, state_dir=TEXT, database_password=PASSWORD, workers={"type": "int", "required": True})
ADMINISTRATOR = {"title": TEXT, "user": TEXT, "email": TEXT, "password": PASSWORD}


PACK = {
    "kind": {"type": "str", "choices": ["core", "plugin", "theme"], "required": True},
    "slug": OPTIONAL,
    "version": OPTIONAL,
    "src": OPTIONAL,
    "url": OPTIONAL,
    "checksum": TEXT,
    # Why neither of the two can be used.
    "problem": OPTIONAL,
}


def listed(default=None):
    return {"type": "list", "elements": "str", **({"required": True} if default is None else {"default": default})}


STEPS = {
    "account": {"name": TEXT, "home": TEXT, "members": listed(["www-data"])},
    "cache": {"system": TEXT, "root": TEXT, "php": TEXT, "objects": {"type": "bool", "default": False}},
    "code": {"root": TEXT, "release": OPTIONAL},
    "boundaries": {"system": TEXT, "root": TEXT},
    "clone": dict(DATABASE, source=TEXT, source_root=TEXT, uploads={"type": "bool", "default": True}),
    "database": {},
    "languages": {
        "system": TEXT,
        "root": TEXT,
        "state_dir": TEXT,
        "locale": TEXT,
        "packs": {"type": "list", "elements": "dict", "options": PACK, "default": []},
        "official": {"type": "bool", "default": False},
        "allow_private": listed([]),
        # Whether pages are cached.
        "pages": {"type": "bool", "default": False},
    },
    "packages": {"name": listed(), "hold": listed([])},
    "release": {
        "root": TEXT,
        "group": TEXT,
        "archive": OPTIONAL,
        "sha256": OPTIONAL,
        "version": OPTIONAL,
        "source": OPTIONAL,
    },
    "services": {"name": listed()},
    "source": {
        "dest": TEXT,
        "mode": {"type": "str", "default": "0644"},
        "src": OPTIONAL,
        "url": OPTIONAL,
        "checksum": OPTIONAL,
        "checksum_url": OPTIONAL,
        "allow_private": listed([]),
    },
    "tree": {"src": TEXT, "of": TEXT, "state_dir": {"type": "str", "default": "/var/lib/pressluft"}},
    "wordpress": dict(
        DATABASE,
        install={"type": "dict", "options": ADMINISTRATOR},
        options={"type": "dict", "default": {}},
        secrets={"type": "dict", "default": {}, "no_log": True},
        units=listed([]),
    ),
}
ONE_OF = {"release": [("archive", "source")], "source": [("src", "url")]}
HEALTH = dict(
    ENVIRONMENT,
    domains=listed(),
    paths=listed(),
    expect={"type": "int", "required": True},
    timeout={"type": "int", "required": True},
    login={"type": "str", "no_log": True},
    maintenance={"type": "bool", "required": True},
)


def checked(what, spec, given, one_of=None):
    """The options with their types and defaults; all that is wrong with them is said at once."""
    if not isinstance(given, dict):
        raise AnsibleActionFail("`%s` has no options" % what)
    validator = ArgumentSpecValidator(spec, mutually_exclusive=one_of, required_one_of=one_of)
    result = validator.validate({key: value for key, value in given.items() if value is not None})
    if result.error_messages:
        raise AnsibleActionFail("`%s`: %s" % (what, "; ".join(result.error_messages)))
    return result.validated_parameters
