"""A model's files from a repository of the hub, in a process that may use the network."""

import re
import sys
from pathlib import Path

from tests.harness.console import exit_status, say
from tests.harness.errors import AssetError
from tests.harness.sources.adapter_folder import ADAPTER
from tests.harness.sources.fetch import run_apart

from .folder import REQUIRED_FILES
from .table import FILES

_INSTEAD = "give a folder in place of it, without --source hub"


def fetched(name: str, revision: str) -> tuple[Path, str]:
    """The folder of a repository's files, and the commit that the revision leads to.

    Raises AssetError, of one line, if one of the files cannot be had.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise AssetError(f"--source hub {name!a}: write ORG/NAME, as the page's address has it")
    say(f"fetching {name} at {revision} from the hub, or its cache")
    printed = run_apart(__name__, [name, revision], lambda _: None)  # its error is raised, not told
    folder, commit = printed.rstrip("\n").split("\t")
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise AssetError(f"{name}: what answers names no commit ({commit!a}); {_INSTEAD}")
    return Path(folder), commit


def main() -> None:
    """Fetch what `fetched` names on the command line; print folder and commit."""
    from tests.harness.sources.hub import fetch_named  # takes huggingface_hub along

    name, revision = sys.argv[1:]
    needed = [file for file in REQUIRED_FILES if file != "config.json"]
    others = [file for file in FILES if file not in needed]
    # An adapter's repository has its base's name, and no config.json.
    folder, commit = fetch_named(name, revision, needed, [*others, ADAPTER], _INSTEAD)
    print(folder, commit, sep="\t")


if __name__ == "__main__":
    sys.exit(exit_status(main))
