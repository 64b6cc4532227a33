"""The user of an environment: what it has too much, and what the firewall is told."""

import collections
import contextlib
import os
import unittest
from unittest import mock

from support import Scratch

from ansible_collections.pressluft.host.plugins.module_utils import site_users
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed
from ansible_collections.pressluft.host.plugins.module_utils.steps import account

Group = collections.namedtuple("Group", "gr_name gr_gid gr_mem")
User = collections.namedtuple("User", "pw_name pw_uid pw_gid pw_dir pw_shell")
NAME, HOME = "wp_acme_production", "/var/www/sites/acme/production"


class Account(Scratch):
    def plan(self, groups, shadow, members=("www-data",), others=(), other_groups=()):
        found = User(NAME, 999, 998, HOME, account.SHELL)
        path = self.write("shadow", shadow)
        listed = [Group(NAME, 998, list(members))] + [Group(name, 4, [NAME, "deploy"]) for name in groups] + list(other_groups)
        with (
            mock.patch.object(account.grp, "getgrall", lambda: listed),
            mock.patch.object(account.grp, "getgrnam", lambda name: listed[0]),
            mock.patch.object(account.pwd, "getpwnam", lambda name: found),
            mock.patch.object(account.pwd, "getpwall", lambda: [found, *others]),
            mock.patch.object(account, "SHADOW", path),
        ):
            return account.plan(NAME, HOME, ["www-data"])

    def test_a_user_that_has_its_own_and_no_more_stays(self):
        for locked in ("!", "!*", "*", "!$y$j9T$x"):
            self.assertEqual(self.plan([], "root:x:1\n%s:%s:20000::::::\n" % (NAME, locked)), ([], []))

    def test_groups_and_passwords_are_told_and_taken(self):
        steps, wider = self.plan(["adm", "docker"], "%s:$y$j9T$x:20000::::::\n" % NAME)
        more = "the user `%s` had more than its own: " % NAME
        expected = ["member of the group `adm`", "member of the group `docker`", "a password"]
        self.assertEqual(wider, [more + what for what in expected])
        self.assertEqual(
            [argv for _, argv in steps],
            [
                ["gpasswd", "--delete", NAME, "adm"],
                ["gpasswd", "--delete", NAME, "docker"],
                ["usermod", "--password", "!", NAME],
            ],
        )

    def test_the_user_of_another_environment_is_not_taken(self):
        other = User(NAME, 999, 998, "/var/www/sites/other/production", account.SHELL)
        with self.assertRaises(Failed) as caught, mock.patch.object(account, "user", return_value=other):
            account.plan(NAME, HOME, [])
        self.assertIn("nothing was touched", str(caught.exception))

    def test_no_password_at_all_is_one(self):
        self.assertIn("a password", self.plan([], "%s::20000::::::\n" % NAME)[1][0])

    def test_whoever_is_the_same_to_the_kernel_is_told_and_left(self):
        others = [User("twin", 999, 100, "/", "/bin/sh"), User("guest", 1000, 998, "/", "/bin/sh")]
        steps, wider = self.plan([], "", others=others, other_groups=[Group("double", 998, [])])
        self.assertEqual(
            (steps, wider),
            (
                [],
                [
                    "the user `twin` has the number of `%s`: 999" % NAME,
                    "the user `guest` has the group of `%s` as its own" % NAME,
                    "the group `double` has the number of the group `%s`: 998" % NAME,
                ],
            ),
        )

    def test_members_of_its_group_that_nobody_asked_for_are_told_and_taken(self):
        steps, wider = self.plan([], "", members=["deploy", "www-data"])
        self.assertEqual([argv for _, argv in steps], [["gpasswd", "--delete", "deploy", NAME]])
        self.assertEqual(wider, ["the user `deploy` was a member of the group `%s`" % NAME])


class Firewall(Scratch):
    def content(self, found, **known):
        with mock.patch.object(site_users, "number_of", known.get):
            return site_users.content(found, "wp_b", 12)

    def test_users_that_are_gone_or_have_another_number_are_left_out(self):
        line = "add element inet pressluft sites { %d } # %s\n"
        found = line % (11, "wp_a") + line % (13, "wp_c") + line % (14, "wp_d") + "flush ruleset\n"
        text = self.content(found, wp_a=11, wp_c=31)
        self.assertEqual(text, site_users.HEAD + line % (11, "wp_a") + line % (12, "wp_b"))
        self.assertEqual(self.content(text, wp_a=11), text)

    def test_a_file_is_made_once_and_a_look_makes_none(self):
        folder = self.path("nftables.d")
        warnings = []
        with mock.patch.object(site_users, "elements", lambda: None):
            look = site_users.ensure("wp_b", 12, True, warnings.append, folder)
            self.assertFalse(os.path.exists(folder))
            done = site_users.ensure("wp_b", 12, False, warnings.append, folder)
            again = site_users.ensure("wp_b", 12, False, warnings.append, folder)
        self.assertEqual((look, done, again), (["firewall's list"], ["firewall's list"], []))
        self.assertIn("provision the node", warnings[0])
        self.assertEqual(os.listdir(folder), [site_users.FILE])

    def test_a_firewall_that_does_not_answer_is_a_finding_of_a_look(self):
        own = mock.Mock(pw_uid=12)
        options = {"name": "wp_b", "home": "/", "members": []}
        with contextlib.ExitStack() as stack:
            for module, name, value in (
                (site_users, "elements", lambda: None),
                (account, "plan", lambda *_: ([], [])),
                (account, "user", lambda _: own),
            ):
                stack.enter_context(mock.patch.object(module, name, value))
            result = account.carry_out(options, mock.Mock(check_mode=True))
        self.assertIn("the firewall has no list", result["by_hand"][0])


if __name__ == "__main__":
    unittest.main()
