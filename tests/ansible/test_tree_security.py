"""Directories that a hostile user owns, and strings that look like templates."""

import os

from support import NOBODY, Scratch, absent, directory, file, link, shape

TEMPLATE = "{{ lookup('pipe', 'touch %s') }}{%% raw %%}{# x #}\n"


class HostileDirectory(Scratch):
    """`site` belongs to a user; `precious` is what he wants root to write into."""

    def setUp(self):
        super().setUp()
        os.mkdir(self.path("precious"))
        self.write("precious/file", "precious")
        os.mkdir(self.path("site"))
        os.chown(self.path("site"), NOBODY.pw_uid, NOBODY.pw_gid)

    def plant(self, target, name="conf", owner=NOBODY.pw_uid):
        os.symlink(target, self.path("site", name))
        os.lchown(self.path("site", name), owner, owner)

    def assert_refused(self, items, why):
        before = shape(self.work)
        self.assertIn(why, self.refuse(items)["msg"])
        self.assertEqual(shape(self.work), before)

    def test_a_link_of_the_user_on_the_way_is_refused(self):
        self.plant(self.path("precious"))
        for item in (
            file(self.path("site", "conf", "file"), "owned"),
            directory(self.path("site", "conf", "sub")),
            link(self.path("site", "conf", "file"), "x"),
            absent(self.path("site", "conf", "file")),
        ):
            self.assert_refused([item], "a link that root does not own")

    def test_a_link_of_the_user_in_the_place_of_a_file_is_replaced(self):
        self.plant(self.path("precious", "file"))
        self.apply([file(self.path("site", "conf"), "mine")])
        self.assertEqual((self.read("site/conf"), self.read("precious/file")), ("mine", "precious"))

    def test_a_link_of_the_user_in_the_place_of_a_directory_is_refused(self):
        self.plant(self.path("precious"))
        self.assert_refused(
            [directory(self.path("site", "conf"), owner="nobody")], "should be a directory and is a link"
        )

    def test_removing_a_link_removes_the_link_alone(self):
        self.plant(self.path("precious"))
        self.apply([absent(self.path("site", "conf"), recursive=True)])
        self.assertEqual(self.read("precious/file"), "precious")

    def test_a_link_of_root_that_leaves_the_directory_of_the_user_is_refused(self):
        # The user may have renamed a link that root made for something else.
        for target in (self.path("precious"), "../precious", "sub/../../precious"):
            self.plant(target, owner=0)
            self.assert_refused(
                [file(self.path("site", "conf", "file"), "x")], "out of a directory that others can change"
            )
            os.unlink(self.path("site", "conf"))

    def test_a_link_of_root_that_stays_below_is_followed(self):
        os.makedirs(self.path("site", "releases", "1"))
        self.plant("releases/1", "current", owner=0)
        self.apply([file(self.path("site", "current", "file"), "x")])
        self.assertEqual(self.read("site/releases/1/file"), "x")

    def test_a_link_of_root_is_not_followed_through_a_link_of_the_user(self):
        self.plant("conf/deeper", "current", owner=0)
        self.plant(self.path("precious"))
        self.assert_refused([file(self.path("site", "current", "file"), "x")], "a link that root does not own")

    def test_links_of_root_elsewhere_are_followed(self):
        os.symlink("precious", self.path("one"))
        os.symlink(self.path("one"), self.path("two"))
        os.makedirs(self.path("a", "b"))
        os.symlink("../../precious", self.path("a", "b", "up"))
        self.apply([file(self.path("two", "new"), "x"), file(self.path("a", "b", "up", "other"), "y")])
        self.assertEqual((self.read("precious/new"), self.read("precious/other")), ("x", "y"))

    def test_links_in_a_circle_end(self):
        os.symlink("b", self.path("a"))
        os.symlink("a", self.path("b"))
        self.assert_refused([file(self.path("a", "x"), "x")], "too many links")

    def test_a_removed_tree_takes_nothing_with_it_that_it_links_to(self):
        os.mkdir(self.path("site", "sub"))
        os.symlink(self.path("precious"), self.path("site", "sub", "link"))
        self.apply([absent(self.path("site"), recursive=True)])
        self.assertEqual(self.read("precious/file"), "precious")

    def test_a_backup_that_the_user_replaced_by_a_directory_is_not_emptied(self):
        # The validator stands in for the user: it runs while the backup is there.
        self.write("site/conf", "old")
        os.mkdir(self.path("site", "private"))
        self.write("site/private/key", "precious")
        swap = "cd %s && backup=$(ls -d .conf.*-old) && rm $backup && mv private $backup" % self.path("site")
        result = self.apply([file(self.path("site", "conf"), "new", validators=["v"])], {"v": ["sh", "-c", swap]})
        self.assertIn("left over", str(result["warnings"]))
        left = [name for name in os.listdir(self.path("site")) if name.endswith("-old")]
        self.assertEqual(self.read(os.path.join("site", left[0], "key")), "precious")

    def test_links_get_their_owner_and_keep_it(self):
        items = [link(self.path("site", "l"), self.path("precious", "file"), owner="nobody", group=str(NOBODY.pw_gid))]
        self.apply(items)
        self.assertEqual(os.lstat(self.path("site", "l")).st_uid, NOBODY.pw_uid)
        self.assertEqual(os.lstat(self.path("precious", "file")).st_uid, 0)
        self.assertFalse(self.apply(items)["changed"])

    def test_a_pipe_in_the_place_of_a_file_does_not_hold_the_run(self):
        os.mkfifo(self.path("site", "conf"))
        self.assert_refused([file(self.path("site", "conf"), "x")], "is a special")

    def test_the_content_of_a_private_file_that_goes_away_is_not_shown(self):
        self.write("key", "private key", 0o600)
        result = self.apply([absent(self.path("key"))], diff=True)
        self.assertNotIn("private key", result.text)


class Templates(Scratch):
    def test_what_looks_like_a_template_arrives_literally_and_runs_nowhere(self):
        marker = os.path.join(self.root, "executed")
        text = TEMPLATE % marker
        name = "{{ lookup('pipe','touch %s') }}" % marker.replace("/", "$IFS")
        items = [
            directory(self.path(name)),
            file(self.path(name, "file"), text, handlers=["{{ h }}"], validators=["{{ v }}"]),
            link(self.path("link"), name),
        ]
        show = {"name": "Show", "ansible.builtin.debug": {"var": "tree"}}
        again = {"name": "Again", "ansible.builtin.debug": {"msg": "{{ tree.diff[1].after }}"}}
        src = self.tree_file(items, {"{{ v }}": ["true", "{{ v }}"]}, [("{{ h }}", ["true", text])])
        task = self.tree_task(src, register="tree")
        self.playbook([task, show, again], "--diff", "-v")
        self.assertEqual(self.read(os.path.join(name, "file")), text)
        self.assertEqual(os.readlink(self.path("link")), name)
        self.assertFalse(os.path.exists(marker))
