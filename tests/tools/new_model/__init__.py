"""Drafts a model's registry table and recipe from its folder; `python -m tests.tools.new_model`.

May import the harness's data, prices, sources and tokenizer.
"""
