"""Measures, compares and judges latency; what `tests/benchmarks` is made of.

Imports checks, plugins and what is below; nothing but reports and the benchmarks imports it.
"""
