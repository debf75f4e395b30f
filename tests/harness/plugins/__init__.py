"""The hooks, options and fixtures that make pytest the conformance suite.

May import everything below checks: tokenizer, model, sources, memory, prices, data.
"""
