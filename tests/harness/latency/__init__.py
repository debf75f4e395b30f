"""Measures latency and compares it with a baseline, for `tests/benchmarks`.

Imports checks, plugins and what is below them.
"""
