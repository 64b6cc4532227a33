"""Access lists, with which somebody reads or writes what a mode keeps them out of."""

import os
import stat
import struct
import subprocess

from support import NOBODY, Scratch, absent, directory, file, link

from ansible_collections.pressluft.host.plugins.module_utils.tree import acl

ACCESS, DEFAULT = acl.ATTRIBUTES
UNDEFINED = 0xFFFFFFFF


def acl_of(user, rights, owner=7, mask=7):
    """A list that lets one more user in."""
    entries = [(1, owner, UNDEFINED), (2, rights, user), (4, 0, UNDEFINED), (16, mask, UNDEFINED), (32, 0, UNDEFINED)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


class AccessLists(Scratch):
    def setUp(self):
        super().setUp()
        self.items = [directory(self.path("etc"), mode="0750"), file(self.path("etc", "key"), "secret", mode="0640")]
        self.apply(self.items)
        os.chmod(self.root, 0o755)

    def let_in(self):
        os.setxattr(self.path("etc"), ACCESS, acl_of(NOBODY.pw_uid, 5, mask=5))
        os.setxattr(self.path("etc", "key"), ACCESS, acl_of(NOBODY.pw_uid, 4, owner=6, mask=4))

    def is_read_by_nobody(self):
        command = ["setpriv", "--reuid", "nobody", "--regid", str(NOBODY.pw_gid), "--clear-groups", "cat", self.path("etc", "key")]
        return subprocess.run(command, capture_output=True, check=False).stdout == b"secret"

    def lists(self, *names):
        return acl.found(self.path(*names))

    def test_a_list_that_a_mode_does_not_show_is_a_difference_and_goes(self):
        self.let_in()
        self.assertTrue(self.is_read_by_nobody())
        look = self.apply(self.items, check=True, diff=True)
        self.assertEqual([item["what"] for item in look["items"]], [["acl"], ["acl"]])
        told = ["acl user %d r-x\n" % NOBODY.pw_uid, "acl user %d r--\n" % NOBODY.pw_uid]
        self.assertEqual([diff["before"] for diff in look["diff"]], told)
        self.apply(self.items)
        self.assertFalse(self.is_read_by_nobody())
        modes = [stat.S_IMODE(os.stat(self.path(*names)).st_mode) for names in (["etc"], ["etc", "key"])]
        self.assertEqual(modes, [0o750, 0o640])
        self.assertFalse(self.apply(self.items)["changed"])

    def test_what_is_made_below_a_default_list_does_not_have_it(self):
        os.setxattr(self.path("etc"), DEFAULT, acl_of(NOBODY.pw_uid, 7))
        more = [directory(self.path("etc", "sub")), file(self.path("etc", "sub", "file"), "x")]
        more.append(link(self.path("etc", "sub", "link"), "file"))
        self.apply(more)
        self.assertEqual([self.lists("etc", "sub"), self.lists("etc", "sub", "file")], [{}, {}])
        self.assertEqual(self.apply(self.items)["items"][0]["what"], ["acl"])
        self.assertEqual(self.lists("etc"), {})

    def test_a_run_that_is_taken_back_brings_the_lists_back(self):
        self.let_in()
        os.setxattr(self.path("etc"), DEFAULT, acl_of(NOBODY.pw_uid, 5))
        before = [self.lists("etc"), self.lists("etc", "key")]
        items = [dict(item, validators=["v"]) for item in self.items]
        self.refuse(items, {"v": ["false"]})
        self.assertEqual([self.lists("etc"), self.lists("etc", "key")], before)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("etc")).st_mode), 0o750)

    def test_a_directory_that_somebody_else_may_write_into_is_not_root_s_alone(self):
        # Its group may, and its group is root's: so it looks.
        os.mkdir(self.path("precious"))
        os.chmod(self.path("etc"), 0o770)
        os.setxattr(self.path("etc"), ACCESS, acl_of(NOBODY.pw_uid, 7))
        os.symlink(self.path("precious"), self.path("etc", "out"))
        refused = self.refuse([file(self.path("etc", "out", "file"), "x")])
        self.assertIn("out of a directory that others can change", refused["msg"])

    def test_what_goes_away_takes_its_list_along(self):
        self.let_in()
        self.apply([absent(self.path("etc", "key")), absent(self.path("etc"))])
        self.assertFalse(os.path.lexists(self.path("etc")))
