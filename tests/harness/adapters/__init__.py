"""LoRA adapters on a loaded model: their files, and what peft makes of them.

Imports what loads models and what is below it; peft only where an adapter is attached.
"""
