"""Runs on the node before anything else: makes modules of the texts that came with the request.

The control plane sends this text, a line end, and then everything else, so it stands alone.
"""


def begin():
    import json
    import sys
    import zlib
    from importlib.machinery import ModuleSpec

    request = json.loads(zlib.decompress(sys.stdin.buffer.read()))
    sources = request.pop("sources")

    class Importer:
        """Finds packages and modules among the texts."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            is_package = any(source.startswith(name + ".") for source in sources)
            if not is_package and name not in sources:
                return None
            return ModuleSpec(name, Importer, is_package=is_package)

        @staticmethod
        def get_source(name):
            return sources[name]

        @staticmethod
        def create_module(spec):
            return None

        @staticmethod
        def exec_module(module):
            name = module.__name__
            if name in sources:
                exec(compile(sources[name], name, "exec", dont_inherit=True), module.__dict__)

    sys.meta_path.insert(0, Importer)
    from ansible_collections.pressluft.host.plugins.module_utils.program import main

    main(request)


begin()
