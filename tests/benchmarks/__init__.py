"""Measurements, not tests: ``python -m tests.benchmarks NAME`` prints a table and a line per target.

Every speed is a ratio or a wait as a visitor has it, measured on the machine it runs on; nothing here fails on a slow one.
"""
