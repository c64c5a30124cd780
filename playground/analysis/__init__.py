"""Analysis of datasets, settings and runs: descriptions, estimates and diagnostics."""
