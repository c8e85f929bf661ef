"""Theory of deep stacks: E h² and E (∂h)² of every layer at finite width.

=========================  =======================================================================
stack                      theory
=========================  =======================================================================
plain                      :mod:`.chain`: exact for normal and for orthogonal weights
RMS or layer norm          :mod:`.sphere`: exact for normal and for orthogonal weights
residual                   :mod:`.branches`: the limit with its correction of order 1/n
batch norm                 :mod:`.batch`: the limit and its correction of order 1/n, both exact
                           for the batch's size; derived in batch.md
=========================  =======================================================================

Functions and records of the other files:

=========================  =======================================================================
file                       contents
=========================  =======================================================================
:mod:`.prediction`         ``predict``: the theory of every layer of a network
:mod:`.finite_width`       the choice of the theory, by the kind of stack
:mod:`.limit`              infinite width
:mod:`.correlation`        the correlation of two inputs at finite width
:mod:`.weights`            the correction for the skewness and kurtosis of weights
:mod:`.cumulants`          the effects of the cumulants of a layer's h on means over its units
:mod:`.laws`               quadrature rules for means over a layer's units
:mod:`.exchangeable`       means over a batch below batch norm
:mod:`.cells`              ``Cells``: the values and allowances of all layers, and what may be done
                           to them: correct, allow, empty
=========================  =======================================================================

weights.md and sphere.md derive the theory of the modules of these names.

A cell with a large correction, or with one of unknown order, is empty.
"""

from __future__ import annotations

from varsim.stack.theory.cells import LARGEST_SLACK
from varsim.stack.theory.prediction import LayerTheory, predict

__all__ = ["LARGEST_SLACK", "LayerTheory", "predict"]
