"""Pages without scripts, and token strips for them.

Imports only redaction, errors, text, diff, files and versions.
"""
