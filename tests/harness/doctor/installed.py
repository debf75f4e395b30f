"""Python and the packages, against requirements.txt."""

from __future__ import annotations

import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .check import Check

REQUIREMENTS = Path(__file__).resolve().parents[3] / "requirements.txt"
OLDEST = (3, 11)
INSTALL = "pip install -r requirements.txt"


def python() -> list[Check]:
    """Python's own version."""
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info >= OLDEST:
        return [Check("python", "ok", found)]
    wanted = ".".join(map(str, OLDEST))
    mend = f"make a virtual environment with Python {wanted} or newer, then {INSTALL}"
    return [Check("python", "bad", f"{found} is older than {wanted}", mend)]


def pinned() -> dict[str, str]:
    """Package to version, as requirements.txt has it."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", REQUIREMENTS.read_text("utf-8"), re.MULTILINE))


def installed(package: str) -> str:
    """The installed version without its local part (`+cpu`); empty if there is none."""
    try:
        return (version(package) or "?").partition("+")[0]
    except PackageNotFoundError:
        return ""


def packages() -> list[Check]:
    """What is missing, and what has another version than the recordings were made with."""
    found = {name: installed(name) for name in pinned()}
    if missing := [name for name, number in found.items() if not number]:
        return [Check("packages", "bad", f"not installed: {', '.join(missing)}", INSTALL)]
    other = [
        f"{name} {found[name]} (pinned: {number})"
        for name, number in pinned().items()
        if found[name] != number
    ]
    if not other:
        return [Check("packages", "ok", f"{len(found)} packages as in requirements.txt")]
    mend = f"{INSTALL}, unless you mean to try these versions"
    return [Check("packages", "warn", ", ".join(other), mend)]


def older(number: str, than: str) -> bool:
    """Whether a version comes before another, by the numbers of its release."""
    one, two = (
        [int(it) for it in re.findall(r"\d+", text.partition("+")[0])[:3]]
        for text in (number, than)
    )
    return one < two
