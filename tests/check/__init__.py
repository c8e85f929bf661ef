"""Tests of varsim/check."""
