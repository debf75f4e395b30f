"""Counts the tokens of a data set's texts; `python -m tests.harness.budget`."""
