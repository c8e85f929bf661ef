"""Tests of varsim/comparison."""
