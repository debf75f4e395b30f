"""Measures, compares and judges latency; what `tests/benchmarks` is made of."""
