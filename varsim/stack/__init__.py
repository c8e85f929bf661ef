"""Deep stacks, layer by layer: theory, sampling, and the rows that compare them."""
