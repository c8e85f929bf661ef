"""Users' initializers: ``module:function``, called as ``f(rng, shape)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from varsim.initializers import Adapter, Drawer, Function, RawWeights
from varsim.parsing import Call
from varsim.usercode import load_function

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator


class _User(Adapter):
    name = "user"
    parameters = 2  # rng and shape

    def function(self, name: str) -> Function:
        return load_function(name)

    def drawer(self, call: Call, function: Function) -> Drawer:
        def draw(
            rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]
        ) -> RawWeights:
            return RawWeights(function(rng, shape, *call.positional, **call.options))

        return draw


ADAPTER = _User()
