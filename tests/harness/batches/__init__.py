"""Answers of a loaded model to many prompts at a time, and their comparison with single ones.

It may import tests.harness.model and what lies below it.
"""
