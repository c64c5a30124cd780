"""The runs, races and reference bands that ship, and the commands that make them."""
