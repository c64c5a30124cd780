"""The Sample and Streaming tabs."""
