"""Which addresses a node downloads from: those that the control plane takes for public."""

import ipaddress
import os
import unittest

from support import HERE

from ansible_collections.pressluft.host.plugins.module_utils import download


class Addresses(unittest.TestCase):
    def test_nodes_and_the_control_plane_have_one_list(self):
        with open(os.path.join(os.path.dirname(HERE), "addresses.txt"), encoding="utf-8") as stream:
            lines = [line.split() for line in stream if not line.startswith("#")]
        self.assertGreater(len(lines), 40)
        for word, address in lines:
            self.assertEqual(download.may_ask("a.example", address, []), word == "public", address)

    def test_what_is_allowed_is_asked_all_the_same(self):
        for allowed in (["168.63.129.0/24"], ["a.example"]):
            self.assertTrue(download.may_ask("a.example", "168.63.129.16", allowed))
        self.assertFalse(download.may_ask("a.example", "168.63.129.16", ["b.example", "192.0.2.0/24", "x"]))
        self.assertEqual(str(download.canonical(ipaddress.ip_address("::ffff:1.2.3.4"))), "1.2.3.4")


if __name__ == "__main__":
    unittest.main()
