"""Tests of varsim/catalog."""
