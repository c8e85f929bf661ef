"""Tests of varsim/layer."""
