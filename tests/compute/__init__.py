"""Tests of varsim/compute."""
