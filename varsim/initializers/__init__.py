"""Initializers: whole matrices W from varsim, from frameworks, and from users' functions.

:func:`find` returns the :class:`Initializer` of a text. The :class:`Adapter` of a framework is in
the file with its name. Frameworks and NumPy are loaded when W is first drawn.
"""

from varsim.initializers.adapter import (
    Adapter,
    Drawer,
    Function,
    RawWeights,
    Weights,
    seed_from,
    versioned,
)
from varsim.initializers.initializer import MAX_WEIGHTS, Initializer, WeightSource
from varsim.initializers.layouts import (
    Acting,
    Masks,
    OpenSizes,
    Piece,
    share,
)
from varsim.initializers.modules import ModuleWeight
from varsim.initializers.registry import (
    adapters,
    find,
    installed,
    patterns,
    unloadable,
    weights,
)

__all__ = [
    "MAX_WEIGHTS",
    "Acting",
    "Adapter",
    "Drawer",
    "Function",
    "Initializer",
    "Masks",
    "ModuleWeight",
    "OpenSizes",
    "Piece",
    "RawWeights",
    "WeightSource",
    "Weights",
    "adapters",
    "find",
    "installed",
    "patterns",
    "seed_from",
    "share",
    "unloadable",
    "versioned",
    "weights",

]  # fmt: skip
