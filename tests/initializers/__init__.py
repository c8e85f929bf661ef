"""Tests of varsim/initializers."""
