"""What a printed command repeats of the run: without it, it would look at other files."""

import re
import shlex

from .assets import Sources

given: list[Sources] = []  # of this run; set once, where pytest reads its options


def with_sources(command: str, names: str) -> str:
    """The command with `--source`, and `--model-dir` of the models named in a key or a node id."""
    if not given:
        return command
    (sources,) = given
    options = [] if sources.default == "bundle" else [f"--source {sources.default}"]
    for key, folder in sources.directories.items():
        if re.search(rf"(^|[\[-]){re.escape(key)}($|[\]-])", names):
            options.append(f"--model-dir {shlex.quote(f'{key}={folder}')}")
    return " ".join([command, *options])
