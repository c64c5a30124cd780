"""Runs: stored on disk and trained in separate processes.

`store` keeps them, `worker` trains them, `queue` decides when, and `curves` sends new points to the browser.
"""
