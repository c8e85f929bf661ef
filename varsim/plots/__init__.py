"""Results to figures. Nothing here writes anywhere: what is to be written is returned as bytes."""
