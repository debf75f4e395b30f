"""Faults in what is served: the GGUF's keys, the engine's options, and a proxy in front of it."""
