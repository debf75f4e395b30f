"""Versions of the libraries that a model passes through."""

import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("transformers", "tokenizers", "torch", "bitsandbytes")
# What libraries use where it is installed, in place of code of their own.
_OPTIONAL = ("accelerate", "flash-attn", "jinja2", "kernels", "peft", "torchao", "xformers")


@cache
def versions() -> dict[str, str]:
    """Version by name: Python, and those of the libraries that are installed."""
    return {"python": platform.python_version(), **_installed(_PACKAGES)}


def optional_versions() -> dict[str, str]:
    """Version by name of the installed packages that can change what the libraries do."""
    return _installed(_OPTIONAL)


def _installed(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def version_changes(recorded: dict[str, str]) -> str:
    """Every library that is not of its recorded version, old and new; empty if all are."""
    now = versions()
    changes = [
        f"{package} {old} -> {now.get(package, 'absent')}"
        for package, old in recorded.items()
        if now.get(package) != old
    ]
    return ", ".join(changes)
