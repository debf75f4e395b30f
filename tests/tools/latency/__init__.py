"""Times two environments in turns on this machine, and says which benchmarks became slower.

Imports the harness and `tests.tools`.
"""
