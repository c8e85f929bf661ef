"""Rows to files and back."""
