"""How fast our own commands and tests are, and how often the latency rule errs.

Each module is a command; they may import tests.harness and the other tools.
"""
