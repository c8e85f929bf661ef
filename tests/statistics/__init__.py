"""Tests of varsim/statistics."""
