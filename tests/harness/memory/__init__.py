"""A model's memory to the byte: from its config.json by arithmetic, and as a loaded model has it.

May import `data` and what is below it; no torch.
"""
