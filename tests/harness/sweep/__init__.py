"""Predicts the prices of a data set; `python -m tests.harness.sweep`."""
