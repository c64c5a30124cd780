"""Interpretability: what a trained model computes, measured on its activations and weights."""
