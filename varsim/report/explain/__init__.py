"""Why the numbers of a run are what they are, in its own numbers: one text per kind of row."""
