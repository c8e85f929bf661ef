"""Tests of varsim/report."""
