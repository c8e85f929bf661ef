"""Initializers of the user's own: ``module:function``, called as ``f(rng, shape)``."""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from typing import Any

import numpy as np
from numpy.random import Generator

from varsim.calls import Call
from varsim.initializers.adapter import Made, Maker, check_arguments, first_line
from varsim.parsing import InputError


def find(call: Call) -> Maker:
    """Return the function that a call names.

    Raises:
        InputError: It cannot be loaded, or takes other arguments.
    """
    module, _, path = call.name.partition(":")
    try:
        function: Any = reduce(getattr, path.split("."), import_module(module))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # not our code
        raise InputError(
            f"{call.name!r} cannot be loaded: {first_line(error)}; give module:function"
        ) from None
    if not callable(function):
        raise InputError(
            f"{call.name!r} is no function but {type(function).__name__}; give module:function"
        )
    check_arguments(call, function, None, None)

    def make(rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Made:
        return Made(function(rng, shape, *call.positional, **call.options))

    return make
