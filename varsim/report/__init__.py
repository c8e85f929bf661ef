"""Reports: rows as text. Nothing here writes anywhere: every function returns what is written."""
