"""Keeps access tokens out of all that is printed or written."""

import os
import re

NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|API_KEY", re.IGNORECASE)  # of environment variables
HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}\b")
SHORTEST = 8  # characters; shorter values would blank out ordinary words
HIDDEN = "(hidden)"


def secrets() -> list[str]:
    """Values of the environment that must not be seen, longest first."""
    values = {value for name, value in os.environ.items() if NAMES.search(name)}
    return sorted((it for it in values if len(it) >= SHORTEST), key=len, reverse=True)


def scrub(text: str) -> str:
    """The text with every secret replaced."""
    for secret in secrets():
        text = text.replace(secret, HIDDEN)
    return HUB_TOKEN.sub(HIDDEN, text)
