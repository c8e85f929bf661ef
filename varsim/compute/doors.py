"""Late imports: modules that are loaded when an attribute is first read."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


class _Lazy:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "__wrapped__":  # inspect and doctest ask every object for it
            raise AttributeError(attribute)
        if self._name not in sys.modules and self._name.startswith("scipy"):
            import_module("varsim.compute.memory").check_scipy_fits()
        return getattr(import_module(self._name), attribute)


def lazy(name: str) -> Any:
    """Return a stand-in for a module, which imports it when an attribute is first read.

    >>> lazy("math").floor(2.5)
    2
    """
    return _Lazy(name)
