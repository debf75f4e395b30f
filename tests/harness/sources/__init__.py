"""Where a model's files and weights come from: the bundle, the hub, a folder, random values.

May import `examination`, `memory`, `data` and what is below them.
"""
