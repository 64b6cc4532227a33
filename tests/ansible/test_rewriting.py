"""The addresses of a copy: exactly those of its source are replaced, in every spelling, and what stays is told."""

import time
import unittest

from ansible_collections.pressluft.host.plugins.module_utils import rewriting
from ansible_collections.pressluft.host.plugins.module_utils.rewriting import Rules

OLD = "https://shop.example"
NEW = "http://staging--shop.wp.example"
HOST = "staging--shop.wp.example"


def rewritten(text, rules=None):
    left = set()
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    return rewriting.rewritten(data, rules or Rules([OLD], NEW), left).decode("utf-8"), left


def stored(text):
    return 's:%d:"%s";' % (len(text.encode("utf-8")), text)


class Addresses(unittest.TestCase):
    def same(self, text, rules=None):
        self.assertEqual(rewritten(text, rules), (text, set()))

    def becomes(self, text, expected, rules=None):
        self.assertEqual(rewritten(text, rules), (expected, set()), text)
        # Nothing is rewritten twice.
        self.assertEqual(rewritten(expected, rules), (expected, set()))

    def test_every_spelling_is_rewritten(self):
        for text, expected in [
            ("http://shop.example", NEW),
            ("https://shop.example/a?b=c#d", NEW + "/a?b=c#d"),
            ("HTTPS://Shop.EXAMPLE/", NEW + "/"),
            ('<a href="//shop.example/b">', '<a href="//%s/b">' % HOST),
            ("url(//shop.example)", "url(//%s)" % HOST),
            ("http:\\/\\/shop.example\\/c", "http:\\/\\/%s\\/c" % HOST),
            ('{"a":"\\/\\/shop.example\\/c"}', '{"a":"\\/\\/%s\\/c"}' % HOST),
            ('{\\"a\\":\\"https:\\\\\\/\\\\\\/shop.example\\"}', '{\\"a\\":\\"http:\\\\\\/\\\\\\/%s\\"}' % HOST),
            ("https%3A%2F%2Fshop.example%2Fd", "http%3A%2F%2F" + HOST + "%2Fd"),
            ("https%3a%2f%2fshop.example%2fd", "http%3a%2f%2f" + HOST + "%2fd"),
            ("https%253A%252F%252Fshop.example", "http%253A%252F%252F" + HOST),
            ("u=%22%2F%2Fshop.example%22", "u=%22%2F%2F" + HOST + "%22"),
            ("https:\\u002F\\u002Fshop.example\\u002F", "http:\\u002F\\u002F%s\\u002F" % HOST),
            ("https:&#047;&#047;shop.example", "http:&#047;&#047;" + HOST),
            ("\\nhttps://shop.example\\n//shop.example", "\\n%s\\n//%s" % (NEW, HOST)),
            ("https://cdn.example/https://shop.example/i.png", "https://cdn.example/%s/i.png" % NEW),
            ("see https://shop.example. Or https://shop.example, or", "see %s. Or %s, or" % (NEW, NEW)),
            ("äöü https://shop.example/日本", "äöü %s/日本" % NEW),
            ("https://shop.example:443/x http://shop.example:80", "%s/x %s" % (NEW, NEW)),
        ]:
            self.becomes(text, expected)

    def test_a_name_in_another_script_has_several_spellings(self):
        for old in ("https://bücher.example", "https://xn--bcher-kva.example"):
            rules = Rules([old], NEW)
            for name in ("bücher.example", "xn--bcher-kva.example", "XN--Bcher-KVA.example", "b\\u00fccher.example"):
                self.becomes("https://%s/a" % name, NEW + "/a", rules)
            self.same("https://mehrbücher.example", rules)
            self.same("https://bucher.example", rules)
            # What a server looks for is the same in each of its character sets.
            self.assertEqual({rewriting.plain_part(host) for host in rules.hosts if b"\xc3" in host}, {b"cher.example"})

    def test_what_only_looks_like_it_stays(self):
        for text in [
            "https://shop.example.org/",
            "https://myshop.example/",
            "https://my.shop.example/ //my.shop.example",
            "https://shop.example-old.example",
            "https://shop.example_x",
            "https://shop.examples",
            "https://shop.example:8443/ //shop.example:8443/",
            "https%3A%2F%2Fshop.example%3A8443",
            "https://shop.example:80 http://shop.example:443",
            "https://shop.example@other.example/ https://shop.example%40other.example/",
            "https://guest@shop.example/",
            "ftp://shop.example/ file:///shop.example/ mailto:info@shop.example",
            "https://other.example/r//shop.example/x",
            "https://other.example/shop.example/",
            "shop.example",
            "a//shop.example",
        ]:
            self.same(text)

    def test_ports_and_paths_are_part_of_an_address(self):
        rules = Rules([OLD + ":8443/blog", OLD + ":8443/blog/wp"], "https://new.example:444")
        for text, expected in [
            (OLD + ":8443/blog", "https://new.example:444"),
            (OLD + ":8443/blog/post", "https://new.example:444/post"),
            (OLD + ":8443/blog/wp/post", "https://new.example:444/post"),
            (OLD + ":8443/blog?p=1", "https://new.example:444?p=1"),
            ('"\\/\\/shop.example:8443\\/blog\\/"', '"\\/\\/new.example:444\\/"'),
            ("https%3A%2F%2Fshop.example%3A8443%2Fblog%2Fx", "https%3A%2F%2Fnew.example%3A444%2Fx"),
            ("=%2F%2Fshop.example%3A8443%2Fblog", "=%2F%2Fnew.example%3A444"),
        ]:
            self.becomes(text, expected, rules)
        for text in [OLD + "/blog", OLD + ":8443/", OLD + ":8443/blogger", OLD + ":8443/blog.html", OLD + ":8444/blog"]:
            self.same(text, rules)

    def test_an_address_that_stays_is_no_rule(self):
        self.assertEqual(Rules([NEW], NEW).old, [])
        self.assertEqual(Rules([NEW + ":80"], NEW).old, [])
        self.assertEqual(len(Rules([OLD, OLD + "/", OLD + ":443"], NEW).old), 1)


class Serialised(unittest.TestCase):
    def test_lengths_follow(self):
        new, old = stored(NEW + "/é"), stored(OLD + "/é")
        for form in [
            "%s",
            "a:1:{s:3:\"url\";%s}",
            'O:7:"Missing":2:{s:1:"a";%s;s:1:"b";N;}'.replace(";;", ";"),
            'a:3:{i:0;b:1;i:1;d:0.5;i:2;O:8:"stdClass":1:{s:5:"\0*\0no";%s}}',
            'a:2:{i:0;E:9:"Suit:Clubs";i:1;%s}'.replace("E:9", "E:10"),
            "  a:1:{i:0;%s}\n",
            "name|%sother|i:1;",
        ]:
            self.assertEqual(rewritten(form % old), (form % new, set()), form)
        # The key of a list, and a value in a value in a value.
        nested = "a:1:{%si:1;}"
        self.assertEqual(rewritten(nested % old), (nested % new, set()))
        for _ in range(3):
            old, new = "a:1:{i:0;%s}" % stored(old), "a:1:{i:0;%s}" % stored(new)
        self.assertEqual(rewritten(old), (new, set()))

    def test_what_cannot_be_rewritten_stays_and_is_told(self):
        own = 'C:3:"Own":20:{%s}' % OLD
        for text, why in [
            (own, rewriting.OWN_FORM),
            ("a:2:{i:0;%si:1;i:5;}" % own, rewriting.OWN_FORM),
            ('{"a":"s:20:\\"%s\\";"}' % OLD, rewriting.OTHER_FORM),
            ("a=s%%3A20%%3A%%22%s%%22%%3B" % OLD, rewriting.OTHER_FORM),
            ("\x00\x14%s" % OLD, rewriting.NO_TEXT),
        ]:
            self.assertEqual(rewritten(text), (text, {why}), text)
        deep = stored(OLD)
        for _ in range(rewriting.DEEPEST + 1):
            deep = stored(deep)
        self.assertEqual(rewritten(deep), (deep, {rewriting.TOO_DEEP}))
        # What is beside it in a list is rewritten.
        both = "a:2:{i:0;%si:1;%s}"
        expected = (both % (own, stored(NEW)), {rewriting.OWN_FORM})
        self.assertEqual(rewritten(both % (own, stored(OLD))), expected)

    def test_broken_values_are_text(self):
        for form in ['a:1:{s:3:"%s";}', 's:99:"%s";', 'a:1:{i:0;s:5:"%s"', 'O:9:"x":1:{%s}', "a:%s"]:
            self.assertEqual(rewritten(form % OLD), (form % NEW, set()), form)

    def test_a_value_costs_what_its_length_costs(self):
        ends = (" " + OLD).encode()
        for piece in (b"\\", b"//", b"http:", b's:1:"', b"shop.example", b"//shop.example", b"a:1:{", b"%25", b's:9:"', b"}"):
            data = piece * ((1 << 20) // len(piece)) + ends
            begin = time.process_time()
            rewriting.rewritten(data, Rules([OLD], NEW), set())
            self.assertLess(time.process_time() - begin, 10, piece)
        nested = b"https://shop.example"
        for _ in range(200):
            nested = b's:%d:"%s";x' % (len(nested), nested)
        begin = time.process_time()
        rewriting.rewritten(nested, Rules([OLD], NEW), set())
        self.assertLess(time.process_time() - begin, 5)


if __name__ == "__main__":
    unittest.main()
