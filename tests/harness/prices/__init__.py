"""The price task: its products and prompts, how a reply is read, and data sets of prices.

May import `data` and what is below it, no tokenizer and no model.
"""
