"""Tests of varsim/storage."""
