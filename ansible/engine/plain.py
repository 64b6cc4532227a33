"""One `ansible-playbook`, confined before it loads Ansible: plain.py RULESET CALLS FIRST_USER PROGRAM ARGUMENT...

RULESET is a descriptor, CALLS a filter in hexadecimal digits, FIRST_USER a number; each is `-` where there is none.
"""

import os
import sys

import confine


def main():
    ruleset, calls, first_user = (None if word == "-" else word for word in sys.argv[1:4])
    confinement = confine.Confinement(
        None if ruleset is None else int(ruleset),
        bytes.fromhex(calls or ""),
        None if first_user is None else int(first_user),
    )
    confinement.enter(os.getcwd())
    sys.argv = sys.argv[4:]
    from ansible.cli.playbook import PlaybookCLI

    PlaybookCLI.cli_executor()


if __name__ == "__main__":
    main()
