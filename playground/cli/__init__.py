"""The command line: one module for training, sampling and files, one for races."""
