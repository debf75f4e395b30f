"""Where a model's files come from; `python -m tests.harness.assets` prepares them all."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from .availability import available
from .bundle import bundle
from .commands import exit_status
from .errors import AssetError
from .models import Model, registry
from .nearest import allowed
from .progress import Progress, say
from .secrets import login

SOURCES = ("bundle", "hub")
KEPT = "MODEL_CONFORMANCE_"  # in front of the user's own settings, which conftest.py overrules
BETWEEN_BARS = 10.0  # seconds


@dataclass(frozen=True)
class Sources:
    """Which source each model comes from: `directories` by key, all others from `default`."""

    default: str = "bundle"
    directories: dict[str, Path] = field(default_factory=dict)

    def of(self, key: str) -> str:
        """`bundle`, `hub` or `directory`."""
        return "directory" if key in self.directories else self.default


def parse_directories(options: list[str]) -> dict[str, Path]:
    """`KEY=DIR` options as folders by key; AssetError for an unknown key or a missing folder."""
    directories = {}
    for option in options:
        key, _, folder = option.partition("=")
        if key not in registry() or not folder:
            raise AssetError(f"--model-dir {option}: write KEY=DIR; {allowed(key, registry())}")
        if not (Path(folder) / "tokenizer.json").is_file():
            raise AssetError(f"--model-dir {option}: there is no tokenizer.json in {folder}")
        directories[key] = Path(folder).absolute()
    return directories


def prepare(models: list[Model], sources: Sources, progress: Progress) -> dict[str, Path]:
    """The folder of every model by key, fetched or built if need be; AssetError if one fails."""
    folders = {model.key: sources.directories.get(model.key) for model in models}
    rest = [model for model in models if folders[model.key] is None]
    if rest:  # each of them is asked for; of none, `available` would take all
        available([model.key for model in rest], sources.default)
    if rest and sources.default == "hub":
        # The hub client reads its switches at import, and the tests run offline and without the
        # token: so the download is a process of its own.
        folders |= fetch_apart(rest, progress)
    elif rest:
        folders |= bundle(rest, progress)
    return {key: folder for key, folder in folders.items() if folder is not None}


def fetch_apart(models: list[Model], progress: Progress, *options: str) -> dict[str, Path]:
    """Run this module for `--source hub` in a process that may use the network."""
    progress(f"fetching {', '.join(model.key for model in models)} from the hub, or its cache")
    command = [sys.executable, "-m", "tests.harness.assets", "--source", "hub", *options]
    with subprocess.Popen(
        [*command, *(model.key for model in models)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=users_own(),
        cwd=Path(__file__).resolve().parents[2],
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        last = relayed(process.stderr, progress)
        output = process.stdout.read()  # a line a model, written when all is done
    if process.returncode:
        raise AssetError(last or "the hub process died")
    return {key: Path(folder) for key, _, folder in map(split_line, output.splitlines())}


def relayed(lines: Iterable[str], progress: Progress) -> str:
    """Pass on what a download says, but of its bars one state in so many seconds; the last line."""
    last, said = "", time.monotonic()
    for line in filter(None, map(str.strip, lines)):
        is_bar, last = "%|" in line, line
        if not is_bar or time.monotonic() - said > BETWEEN_BARS:
            progress(line)
            said = time.monotonic()
    return last


def users_own() -> dict[str, str]:
    """The environment as the user set it: with the network, and with the login."""
    names = [name for name in os.environ if name.startswith(f"{KEPT}HF_")]
    kept = {name.removeprefix(KEPT): os.environ[name] for name in names}
    ours = {name: value for name, value in os.environ.items() if name not in [*kept, *names]}
    return ours | {name: value for name, value in kept.items() if value} | login()


def weights_only(model: Model) -> Model:
    """The model with its checkpoint for files, of which the large ones are not hashed here."""
    if not (model.revision and model.weights):
        raise AssetError(f"{model.key}: the registry pins no weights of the hub for it")
    late = {name: replace(pin, published=False) for name, pin in model.weights.items()}
    return replace(model, files=model.checkpoint() | late)


def split_line(line: str) -> tuple[str, str, str]:
    """`KEY<TAB>DIR` in its parts."""
    return line.partition("\t")


def main(arguments: list[str] | None = None) -> int:
    """Prepare the models and print `KEY<TAB>DIR` lines; AssetError if one cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.assets", description=__doc__)
    parser.add_argument("keys", nargs="*", metavar="KEY", help="models (default: all)")
    parser.add_argument("--source", choices=SOURCES, default="bundle", help="(default: bundle)")
    weights = "checkpoints of the hub, no tokenizers (default: off)"
    parser.add_argument("--weights", action="store_true", help=weights)
    options = parser.parse_args(arguments)

    for key in options.keys:
        if key not in registry():
            raise AssetError(f"unknown model {key}: {allowed(key, registry())}")
    models = available(options.keys, "hub" if options.weights else options.source)
    if options.weights:
        models = [weights_only(model) for model in models]
        options.source = "hub"
    if options.source == "hub":
        from .hub import fetch

        # smollm2 is not on the hub for us: it comes from its package under every source.
        folders = {m.key: fetch(m, say) for m in models if m.revision}
        folders |= bundle([m for m in models if not m.revision], say)
    else:
        folders = bundle(models, say)
    for model in models:
        print(f"{model.key}\t{folders[model.key]}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
