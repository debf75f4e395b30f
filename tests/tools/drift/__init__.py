"""What changes between versions of a library, observed in an environment for each.

May import tests.harness, but no plugins and no checks.
"""
