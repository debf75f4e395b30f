"""The commands: each `python -m tests.tools.NAME --help` is its own manual.

They may import tests.harness, but no plugins and no checks.
"""
