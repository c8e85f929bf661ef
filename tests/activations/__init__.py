"""Tests of varsim/activations."""
