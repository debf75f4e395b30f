"""Tokenizers in memory: as transformers loads them and as tokenizer.json defines them; chat.

It may import tests.harness.sources, data and what lies below them.
"""
