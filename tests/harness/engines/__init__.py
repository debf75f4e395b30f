"""Models as engines serve them: GGUF files, servers, requests, and judgements of the answers.

Imports tokenizer, forward, model, sources, examination, prices, data and what is below them.
"""
