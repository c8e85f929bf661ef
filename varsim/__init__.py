"""varsim: a Monte Carlo variance simulator for x @ W.

>>> from varsim import Experiment, simulate
>>> simulate(Experiment(dim=512, scale="sqrt")).agrees
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from varsim.activations.gains import gain
    from varsim.layer.experiment import Experiment
    from varsim.layer.result import Result, conclude, infer
    from varsim.layer.sampling import stream
    from varsim.parsing import InputError
    from varsim.runner import measure, simulate
    from varsim.statistics import Caveat, judge
    from varsim.statistics.moments import Block, Totals

__all__ = ["Block", "Caveat", "Experiment", "InputError", "Result", "Totals", "__version__",
           "conclude", "gain", "infer", "judge", "measure", "simulate", "stream"]  # fmt: skip

_ROOMS = {
    "activations.gains": ("gain",),
    "layer.experiment": ("Experiment",),
    "layer.result": ("Result", "conclude", "infer"),
    "layer.sampling": ("stream",),
    "parsing": ("InputError",),
    "runner": ("measure", "simulate"),
    "statistics": ("Caveat", "judge"),
    "statistics.moments": ("Block", "Totals"),
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: ``varsim --help`` starts without NumPy."""
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"varsim.{room}"), name)
    raise AttributeError(f"module 'varsim' has no attribute {name!r}")
