"""Theory of deep stacks: E h² and E (∂h)² of every layer, at their own finite widths.

=========================  =======================================================================
stack                      theory
=========================  =======================================================================
plain                      :mod:`.chain`: exact for normal and for orthogonal weights
RMS or layer norm          :mod:`.sphere`: exact for normal and for orthogonal weights
residual                   :mod:`.branches`: the limit with its leading correction, of order 1/n
batch norm                 :mod:`.batch`: the limit, exact for the batch's size
=========================  =======================================================================

:mod:`.weights` adds what skewness and kurtosis of weights change. A correction is given where it is
small; where it is not, or where the order that counts is not known, the cell is empty.
"""

from __future__ import annotations

from varsim.stack.theory.cells import LARGEST_SLACK
from varsim.stack.theory.prediction import LayerTheory, predict

__all__ = ["LARGEST_SLACK", "LayerTheory", "predict"]
