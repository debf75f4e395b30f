"""The project's data as typed objects: each module reads one kind of file of `fixtures/`.

Imports only errors, text, diff, files and versions.
"""
