"""The launcher and its queue: who trains when, within which limits."""
