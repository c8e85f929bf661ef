"""Users' initializers: ``module:function``, called as ``f(rng, shape)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from varsim.initializers import Adapter, Drawer, Weights
from varsim.parsing import Call
from varsim.usercode import load_function, user_code

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator


class _User(Adapter):
    name = "user"
    parameters = 2  # rng and shape

    def function(self, name: str) -> Any:
        return load_function(name)

    def drawer(self, call: Call, function: Any) -> Drawer:
        def draw(rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Weights:
            with user_code():
                return Weights(function(rng, shape, *call.positional, **call.options))

        return draw


ADAPTER = _User()
