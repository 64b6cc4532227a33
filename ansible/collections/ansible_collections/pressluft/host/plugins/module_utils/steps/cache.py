"""The caches of an environment, emptied.

Objects first: a page that is made from objects that were kept would be kept itself.
"""

from __future__ import annotations

from ansible_collections.pressluft.host.plugins.module_utils import release
from ansible_collections.pressluft.host.plugins.module_utils.process import Failed, run
from ansible_collections.pressluft.host.plugins.module_utils.wordpress import Site

PURGE = "/usr/local/lib/pressluft/purge-pages"
FLUSH = """
echo "\\x1e", json_encode( array( 'external' => (bool) wp_using_ext_object_cache(), 'flushed' => (bool) wp_cache_flush() ) );
"""


def flush(options):
    """Empties the object cache, as `wp cache flush` does."""
    # A release from before there were object caches has no place for one.
    release.link(options["root"], release.OBJECT_CACHE)
    answer = Site(options["system"], options["root"], options["php"], None).evaluate(FLUSH, {})
    if not isinstance(answer, dict) or answer.get("external") is not True:
        raise Failed("WordPress does not use the object cache: `shared/object-cache.php` is none, or gave up on Redis")
    if answer.get("flushed") is not True:
        raise Failed("the object cache was not emptied")


def carry_out(options, node):
    if not node.check_mode:
        if options["objects"]:
            flush(options)
        run([PURGE, options["system"]], timeout=180)
    return {"changed": True, "changes": ["pages", "objects"] if options["objects"] else ["pages"]}
