"""Tables: scaling schemes, distributions and their samplers, designs, dtypes."""
