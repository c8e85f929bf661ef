"""Deep stacks, layer by layer: by theory and by sampling, which meet in inference alone."""
