"""Comparing runs: recipes, results, statistics and verdicts of races."""
