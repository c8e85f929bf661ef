"""Tests of varsim/fields."""
