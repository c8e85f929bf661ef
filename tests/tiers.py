"""Two tiers of tests: a quick one for people, and all of them, which CI runs: ``--all``.

The quick tier leaves out tests marked ``slow`` and those that need a framework. Statistical tests
take a fifth of their replicates there; their bounds are in standard errors of what they take.
"""

from __future__ import annotations

everything = False
"""Whether all tests run; ``tests/conftest.py`` sets it before tests are collected."""


def share(replicates: int) -> int:
    """Return the number of replicates to take: a fifth in the quick tier."""
    return replicates if everything else -(-replicates // 5)
