"""Faults in adapters: in their folders, and in what peft makes of them."""
