"""What the files under fixtures say, read and checked; nothing here knows a tokenizer.

May import errors and the foundation modules (text, diff, files, versions).
"""
