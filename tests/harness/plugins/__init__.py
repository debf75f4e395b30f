"""pytest plugins of the suite: options, parametrization, results, redaction.

Imports foundation, data, sources and the loaded model; never `checks`, `reports` or tools.
"""
