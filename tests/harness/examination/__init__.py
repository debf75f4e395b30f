"""Whether a folder that did not come from our bundle may be loaded, found out before it is.

May import `memory`, `data` and what is below them.
"""
