"""Reports: rows as text. Nothing here writes: every function returns its text."""
