"""Experiments without a screen: models and texts go in, arrays and tables come out."""
