"""Tests of varsim/model."""
