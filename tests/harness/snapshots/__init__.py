"""Snapshots: files of rows, compared exactly, saved only by a complete run that held.

May import what lies below: checks, plugins, tokenizer, data and the foundation.
"""
