"""What a test calls to judge a tokenizer, a loaded model or an answer; each fails with a cause.

It may import tests.harness.tokenizer and model and what lies below them, never a plugin.
"""
