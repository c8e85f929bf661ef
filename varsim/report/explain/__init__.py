"""Explanations of a run in its numbers: one text per kind of row."""
