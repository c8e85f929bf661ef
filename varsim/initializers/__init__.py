"""Weights: whole matrices W as initializers make them, ours and those of frameworks."""
