"""`--gate`: what a run must prove, counted against a committed ledger, and what it left out.

Imports plugins, data and what is below them.
"""
