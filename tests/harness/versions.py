"""Versions of the libraries that a model passes through."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("transformers", "tokenizers", "torch", "bitsandbytes")


@cache
def versions() -> dict[str, str]:
    """Version by name: Python, and those of the libraries that are installed."""
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed
