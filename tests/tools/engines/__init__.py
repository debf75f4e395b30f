"""Commands around engines. May import tests.harness, but no plugins and no checks."""
