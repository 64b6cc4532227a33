"""What rendering needs to know about a node."""

from __future__ import annotations

from ansible_collections.pressluft.host.plugins.module_utils.node import facts


def serve(request, listener):
    return {"changed": False, "facts": facts()}
