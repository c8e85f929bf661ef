"""Tests of varsim/cli."""
