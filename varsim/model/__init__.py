"""Models: signals and gradients of a user's network, module by module, over its initializations."""
