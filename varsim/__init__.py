"""varsim: a Monte Carlo variance simulator for x @ W.

>>> from varsim import Experiment, simulate
>>> simulate(Experiment(dim=512, scale="sqrt")).agrees
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from varsim._version import __version__

if TYPE_CHECKING:
    from varsim.experiment import Caveat, Experiment, InputError, Result
    from varsim.gains import gain
    from varsim.inference import conclude, infer, judge, measure, simulate
    from varsim.moments import Block, Totals
    from varsim.sampling import stream

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
    "experiment": ("Caveat", "Experiment", "InputError", "Result"),
    "gains": ("gain",),
    "inference": ("conclude", "infer", "judge", "measure", "simulate"),
    "moments": ("Block", "Totals"),
    "sampling": ("stream",),
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: ``varsim --help`` starts without NumPy."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"varsim.{home}"), name)
    raise AttributeError(f"module 'varsim' has no attribute {name!r}")
