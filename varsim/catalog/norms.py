"""Norms: what a layer normalises to variance 1 before its activation."""

NORMS = {
    "none": "nothing",
    "batch": "each unit over the batch",
    "layer": "each input's units, their mean taken off",
    "rms": "each input's units",
}
"""Every norm, and what it normalises."""
