"""Runs on disk: folders, logs, checkpoints, status, and the processes that belong to them."""
