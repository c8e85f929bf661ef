"""Results to text. Nothing here writes anywhere: every function returns what is to be written."""
