"""The Attention and Inside tabs."""
