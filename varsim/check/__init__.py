"""Checks of initializers: claims and measurements, forward and backward."""
