"""varsim: a Monte Carlo variance simulator for x @ W.

``simulate`` measures one experiment, ``sweep`` every combination of settings, ``layers`` a deep
stack, ``check_initializer`` an initializer, and ``check_model`` a network of yours, each beside
theory. ``gain`` and ``critical`` are
what an activation needs. ``varsim help python`` has examples.

>>> from varsim import simulate
>>> simulate(dim=512, scale="sqrt").agrees
True
"""

from __future__ import annotations

from importlib import import_module

__version__ = "1.0.0.dev0"

# Not from typing, whose import takes most of the time in which a signal would end in a traceback.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from varsim.activations.gains import gain
    from varsim.api import (
        check_initializer,
        check_model,
        critical,
        layers,
        measure,
        simulate,
        sweep,
    )
    from varsim.check.result import InitializerCheck
    from varsim.errors import InputError
    from varsim.layer.question import Experiment
    from varsim.layer.result import Result, conclude, infer
    from varsim.layer.sampling import stream
    from varsim.layer.totals import Block, Totals
    from varsim.model.result import ModuleResult
    from varsim.notebook import Rows
    from varsim.stack.question import Network
    from varsim.stack.result import LayerResult
    from varsim.statistics import Caveat, judge

__all__ = ["Block", "Caveat", "Experiment", "InitializerCheck", "InputError", "LayerResult",
           "ModuleResult", "Network", "Result", "Rows", "Totals", "__version__",
           "check_initializer", "check_model", "conclude", "critical", "gain", "infer", "judge",
           "layers", "measure", "simulate", "stream", "sweep"]  # fmt: skip

_ROOMS = {
    "activations.gains": ("gain",),
    "api": (
        "check_initializer",
        "check_model",
        "critical",
        "layers",
        "measure",
        "simulate",
        "sweep",
    ),
    "check.result": ("InitializerCheck",),
    "layer.question": ("Experiment",),
    "layer.result": ("Result", "conclude", "infer"),
    "layer.sampling": ("stream",),
    "errors": ("InputError",),
    "model.result": ("ModuleResult",),
    "notebook": ("Rows",),
    "stack.question": ("Network",),
    "stack.result": ("LayerResult",),
    "statistics": ("Caveat", "judge"),
    "layer.totals": ("Block", "Totals"),
}


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: ``varsim --help`` starts without NumPy."""
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"varsim.{room}"), name)
    raise AttributeError(f"module 'varsim' has no attribute {name!r}")
