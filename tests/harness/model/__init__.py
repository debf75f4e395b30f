"""Models in memory: loading, generation, logits and their error bounds.

It may import tests.harness.sources, memory, prices and what lies below them.
"""
