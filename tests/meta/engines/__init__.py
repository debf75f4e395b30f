"""Tests of models in engines: files that are given, endpoints, and what is said of them."""
