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


def version_changes(recorded: dict[str, str]) -> str:
    """Every library that is not of its recorded version, old and new; empty if all are."""
    now = versions()
    changes = [
        f"{package} {old} -> {now.get(package, 'absent')}"
        for package, old in recorded.items()
        if now.get(package) != old
    ]
    return ", ".join(changes)
