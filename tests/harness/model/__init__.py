"""Models in memory: loading and its measurement, generation, logits and their error bounds.

It may import tests.harness.sources, memory, prices and what lies below them.
"""
