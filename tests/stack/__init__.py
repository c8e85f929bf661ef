"""Tests of varsim/stack."""
