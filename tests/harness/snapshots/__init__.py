"""Snapshots: files of rows, compared exactly, saved only by a complete run without failures.

Imports checks, plugins, tokenizer, data and what is below them.
"""
