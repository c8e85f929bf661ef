"""Storage: rows to files and back."""
