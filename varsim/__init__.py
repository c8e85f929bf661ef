"""varsim: a Monte Carlo variance simulator for x @ W.

>>> from varsim import Experiment, simulate
>>> simulate(Experiment(dim=512, scale="sqrt")).agrees
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from varsim._version import __version__

if TYPE_CHECKING:
    from varsim.activations.gains import gain
    from varsim.layer.experiment import Experiment, Result
    from varsim.layer.inference import conclude, infer, judge, measure, simulate
    from varsim.layer.sampling import stream
    from varsim.parsing import InputError
    from varsim.statistics import Caveat
    from varsim.statistics.moments import Block, Totals

__all__ = [
    "Block",
    "Caveat",
    "Experiment",
    "InputError",
    "Result",
    "Totals",
    "__version__",
    "conclude",
    "gain",
    "infer",
    "judge",
    "measure",
    "simulate",
    "stream",
]

_HOMES = {
    "parsing": ("InputError",),
    "statistics": ("Caveat",),
    "layer.experiment": ("Experiment", "Result"),
    "activations.gains": ("gain",),
    "layer.inference": ("conclude", "infer", "judge", "measure", "simulate"),
    "statistics.moments": ("Block", "Totals"),
    "layer.sampling": ("stream",),
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: ``varsim --help`` starts without NumPy."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"varsim.{home}"), name)
    raise AttributeError(f"module 'varsim' has no attribute {name!r}")
