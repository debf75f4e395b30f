"""The hooks, options and fixtures that make pytest the conformance suite.

Imports tokenizer, model, sources, memory, prices, data and what is below them.
"""
