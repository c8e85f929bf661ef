"""Tests: what varsim promises, a sentence each."""

from hypothesis import settings

# The same cases in every run, and no limit on time: a busy machine is no defect.
settings.register_profile("varsim", deadline=None, derandomize=True)
settings.load_profile("varsim")
