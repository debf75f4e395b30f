"""Is everything there that the suite needs? `python -m tests.harness.doctor`.

Looks at versions, GPU, disk, cache and hub, and says what to type. It changes and deletes nothing.
Exit status: 0 nothing is bad, 1 something is, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from importlib import import_module

from ..secrets import scrub
from .check import Check, lines
from .installed import INSTALL

# The module of each check, imported when it is its turn: what cannot be imported is a finding.
CHECKS = {
    "python": "installed",
    "packages": "installed",
    "torch": "devices",
    "gpu": "devices",
    "bitsandbytes": "devices",
    "memory": "room",
    "disk": "room",
    "cache": "cache",
    "hub_cache": "hub_cache",
    "hub": "hub",
}


def look(name: str) -> list[Check]:
    """What a check finds; one that cannot be done is a finding, too."""
    try:
        found: list[Check] = getattr(import_module(f".{CHECKS[name]}", __package__), name)()
    except ImportError as error:
        return [Check(name, "bad", f"could not be looked at: {error}", INSTALL)]
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        return [Check(name, "bad", f"could not be looked at: {type(error).__name__}: {said}")]
    return found


def options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; argparse ends a wrong one with status 2."""
    about, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m tests.harness.doctor", description=about, epilog=rest
    )
    names = ", ".join(CHECKS)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"of {names} (default: all)")
    parser.add_argument(
        "--json", action="store_true", help="print a list of objects instead (default: off)"
    )
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.checks if name not in CHECKS]:
        parser.error(f"unknown check {unknown[0]}: allowed are {names}")
    return chosen


def verdict(checks: list[Check]) -> str:
    """One line: how many are bad, and what to do next."""
    bad = [check for check in checks if check.state == "bad"]
    warned = sum(check.state == "warn" for check in checks)
    if bad:
        return f"{len(bad)} bad, {warned} to know of; mend `{bad[0].name}` first"
    return f"nothing is bad, {warned} to know of; next: pytest"


def main(arguments: list[str] | None = None) -> int:
    """Look, say what was found as it is found, and return the exit status."""
    chosen = options(arguments)
    found: list[Check] = []
    try:
        for name in chosen.checks or CHECKS:
            new = look(name)
            found += new
            if not chosen.json:
                for check in new:
                    print(scrub("\n".join(lines(check))), flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(
        scrub(json.dumps([asdict(it) for it in found], indent=1)) if chosen.json else verdict(found)
    )
    return 1 if any(check.state == "bad" for check in found) else 0


if __name__ == "__main__":
    sys.exit(main())
