"""Tests of where files and weights come from: bundle, hub, folders, logins.

May import the harness and `meta.support`.
"""
