"""Install an engine that has an environment of its own, such as vLLM.

It is kept in the cache, and `pytest tests/serving --engine vllm` starts it from there. Its version,
and what is left out of it, stand in fixtures/engines.toml.
"""

import argparse
import sys
from time import monotonic

from tests.harness.console import exit_status, redact_streams, say
from tests.harness.data.engines import apart_by_package
from tests.harness.environments import VERSION, engine_environment


def main(arguments: list[str] | None = None) -> int:
    """Install it if it is not there, and print where its Python is.

    AssetError if it cannot be installed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.tools.engines.install", description=__doc__
    )
    known = {engine.key: engine for engine in apart_by_package().values()}
    parser.add_argument("engine", choices=list(known), help="the engine's key")
    version = "of its package (default: the one in fixtures/engines.toml, which pytest starts)"
    parser.add_argument("version", nargs="?", default="", help=version)
    options = parser.parse_args(arguments)
    if options.version and not VERSION.fullmatch(options.version):
        parser.error(f"{options.version!r}: give a version, such as 0.32.0")
    engine, started = known[options.engine], monotonic()
    assert engine.apart is not None
    number = options.version or engine.apart.version
    say(f"{engine.package} {number}, {engine.apart.costs}")
    made = engine_environment(engine, options.version)
    say(f"{engine.package} {number} is there after {monotonic() - started:.0f} s")
    print(made.python)
    return 0


if __name__ == "__main__":
    redact_streams()
    sys.exit(exit_status(main))
