"""Runs: kept on disk, trained in processes of their own, watched while they train.

`store` is where everything meets; `worker` trains, `launcher` decides when, `curves` tells the browser what is new.
"""
