"""Counts the tokens of a data set's texts; `python -m tests.tools.budget`.

May import the harness's data, prices and sources.
"""
