"""Tests: what varsim promises, a sentence each."""
