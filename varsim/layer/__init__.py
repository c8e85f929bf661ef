"""One layer, y = x @ W."""
