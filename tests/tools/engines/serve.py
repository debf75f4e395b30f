"""Serve a model's tiny GGUF by llama.cpp on loopback, so that curl shows what becomes of a text.

The vocabulary, template and settings are the model's; what it answers means nothing. It ends with
Ctrl-C.
"""

import argparse
import sys
import time

from tests.harness.console import exit_status, say
from tests.harness.data.engines import DEFAULT, engines
from tests.harness.data.registry import registry
from tests.harness.engines.starting import start
from tests.harness.engines.tiny import tiny_file
from tests.harness.sources.bundle import bundle


def main(arguments: list[str] | None = None) -> int:
    """Start it, print its address and wait."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.engines.serve", description=__doc__
    )
    engine = engines()[DEFAULT]
    parser.add_argument("model", choices=list(engine.files), help="the model's key")
    port = "of loopback (default: one that is free)"
    parser.add_argument("--port", type=int, default=0, help=port)
    options = parser.parse_args(arguments)
    model = registry()[options.model]
    folder = bundle([model], say)[model.key]
    file = tiny_file(folder, model, engine.files[model.key], pinned=True)
    server = start(engine, file, {**engine.options, "port": options.port})
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    sys.exit(exit_status(main))
