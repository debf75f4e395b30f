"""The prices that a model predicts for a data set: `python -m tests.tools.sweep`.

It may import tests.harness, but no plugins and no checks.
"""
