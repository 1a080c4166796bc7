"""Compile what a run of bidsmask imports, while the image is built.

Nothing can write bytecode later. That of everything else would make the image 40 MB larger.
It is never compared with its source, whose time an image may not keep.
"""

from __future__ import annotations

import importlib
import pkgutil
import py_compile
import sys

import bidsmask

for module in pkgutil.walk_packages(bidsmask.__path__, "bidsmask."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in sorted(sys.modules):
    file = getattr(sys.modules[name], "__file__", None) or ""
    if file.startswith(sys.prefix) and file.endswith(".py"):
        py_compile.compile(
            file, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
