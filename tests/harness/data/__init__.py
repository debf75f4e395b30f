"""The project's data as typed objects: each module reads one kind of file of `fixtures/`.

May import errors, text, diff, files and versions.
"""
