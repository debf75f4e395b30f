"""Pages without scripts, and token strips for them.

May import redaction, errors, text, diff, files and versions.
"""
