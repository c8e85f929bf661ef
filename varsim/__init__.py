"""varsim: a Monte Carlo variance simulator for x @ W.

>>> from varsim import Experiment, simulate
>>> simulate(Experiment(dim=512, scale="sqrt")).agrees
True
"""

from varsim._version import __version__
from varsim.experiment import Caveat, Experiment, InputError, Result
from varsim.inference import infer, judge, simulate
from varsim.sampling import Block, stream

__all__ = [
    "Block",
    "Caveat",
    "Experiment",
    "InputError",
    "Result",
    "__version__",
    "infer",
    "judge",
    "simulate",
    "stream",
]
