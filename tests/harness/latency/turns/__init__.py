"""Two processes that time the same calls in turns, and what their turns tell.

Imports `latency`.
"""
