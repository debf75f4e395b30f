"""Tests of the data, and of what a user with a mistake in it is shown.

May import the harness and `meta.support`.
"""
