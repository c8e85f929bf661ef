"""The contract of all studies: what holds for the rows of every kind."""
