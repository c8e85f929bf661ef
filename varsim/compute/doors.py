"""Late imports: modules that are loaded when an attribute is first read."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


class _LateModule(ModuleType):
    """A stand-in for a module that is not loaded yet."""

    def __getattr__(self, attribute: str) -> object:
        if attribute == "__wrapped__":  # inspect and doctest ask every object for it
            raise AttributeError(attribute)
        return getattr(import_module(self.__name__), attribute)


def lazy(name: str) -> ModuleType:
    """Return a stand-in for a module, which imports it when an attribute is first read.

    A type checker does not see the attributes of a stand-in, so the import stands beside it::

        if TYPE_CHECKING:
            from varsim.compute import cluster
        else:
            cluster = lazy("varsim.compute.cluster")

    >>> lazy("math").floor(2.5)
    2
    """
    return _LateModule(name)
