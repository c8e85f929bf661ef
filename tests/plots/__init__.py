"""Tests of varsim/plots."""
