"""Predicts the prices of a data set; `python -m tests.tools.sweep`."""
