"""The explanation of a stack."""

from __future__ import annotations

import re

from tests.program import here


def test_the_explanation_of_a_stack_multiplies_to_what_was_measured() -> None:
    """In each layer's line, within its error."""
    stack = ("layers", "--width", "64", "--depth", "3", "--networks", "64", "-q", "--explain")
    prose = here(*stack, "--bias-std", "0.5").stdout.split("Why?")[1]
    lines = re.findall(r"layer \d: ([\d.]+) \(W\) · ([\d.]+) \(φ\) \+ 0.25 \(bias\); measured "
                       r"([\d.]+) ± ([\d.]+)", prose)  # fmt: skip
    assert len(lines) == 2
    for w, phi, measured, error in (map(float, line) for line in lines):
        assert abs(w * phi + 0.25 - measured) < 3 * error
        assert 0 < phi < measured
