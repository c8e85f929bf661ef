"""Initializers: whole matrices W from varsim, from frameworks, and from users' functions.

:func:`find` returns the :class:`Initializer` of a text. Each source of initializers has an
:class:`Adapter` in a file of its own. Frameworks and NumPy are loaded when W is first drawn.
"""

from varsim.initializers.adapter import Adapter, Drawer, Weights, seed_from, versioned
from varsim.initializers.initializer import MAX_WEIGHTS, Initializer
from varsim.initializers.registry import adapters, find, installed, patterns, unloadable

__all__ = [
    "MAX_WEIGHTS", "Adapter", "Drawer", "Initializer", "Weights", "adapters", "find", "installed",
    "patterns", "seed_from", "unloadable", "versioned",
]  # fmt: skip
