"""Versions of the libraries that a model passes through."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("transformers", "tokenizers", "torch", "bitsandbytes")


@cache
def versions() -> dict[str, str]:
    """Installed versions of the libraries a model passes through; absent ones are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
